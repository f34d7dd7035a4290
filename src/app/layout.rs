//! Where the panels are: tabs in tiles that a person may drag.

use egui::{Color32, Id, Stroke, Ui, Visuals, WidgetText};
use egui_tiles::{
    Behavior, Linear, LinearDir, SimplificationOptions, TabState, Tile, TileId, Tiles, Tree,
    UiResponse,
};

use super::panels::{Home, Panel};
use super::state::Scene;
use super::theme::Palette;

/// Where eframe keeps the layout.
pub(crate) const KEY: &str = "layout";

/// A tree of panel names.
pub(crate) type Layout = Tree<String>;

/// Where panels are at first: to the left what one reads, to the right what one watches.
pub(crate) fn default(panels: &[Box<dyn Panel>]) -> Layout {
    let mut tiles = Tiles::default();
    let group = |tiles: &mut Tiles<String>, home: Home| {
        let names = panels.iter().filter(|p| p.home() == home).map(|p| p.title().to_owned());
        let tabs: Vec<TileId> = names.map(|name| tiles.insert_pane(name)).collect();
        tiles.insert_tab_tile(tabs)
    };
    let left = group(&mut tiles, Home::Left);
    let top = group(&mut tiles, Home::RightTop);
    let bottom = group(&mut tiles, Home::RightBottom);
    let right =
        tiles.insert_container(Linear::new_binary(LinearDir::Vertical, [top, bottom], 0.47));
    let root =
        tiles.insert_container(Linear::new_binary(LinearDir::Horizontal, [left, right], 0.58));
    Tree::new(Id::unique("panels"), root, tiles)
}

/// A stored layout, if it shows each panel exactly once; else the default.
pub(crate) fn restore(stored: Option<Layout>, panels: &[Box<dyn Panel>]) -> Layout {
    let complete = |tree: &Layout| {
        let mut names: Vec<&str> = tree
            .tiles
            .tiles()
            .filter_map(|tile| match tile {
                Tile::Pane(name) => Some(name.as_str()),
                Tile::Container(_) => None,
            })
            .collect();
        let mut titles: Vec<&str> = panels.iter().map(|p| p.title()).collect();
        names.sort_unstable();
        titles.sort_unstable();
        names == titles && tree.root().is_some()
    };
    stored.filter(complete).unwrap_or_else(|| default(panels))
}

/// Bring a panel to the front of its tabs.
pub(crate) fn show(tree: &mut Layout, title: &str) {
    tree.make_active(|_, tile| matches!(tile, Tile::Pane(name) if name == title));
}

/// Draws the panels of a tree.
pub(crate) struct Drawing<'a, 'b> {
    /// All panels.
    pub panels: &'a mut [Box<dyn Panel>],
    /// What they see.
    pub scene: &'a mut Scene<'b>,
}

impl Behavior<String> for Drawing<'_, '_> {
    fn pane_ui(&mut self, ui: &mut Ui, _: TileId, name: &mut String) -> UiResponse {
        let palette = Palette::get(ui);
        let rect = ui.max_rect();
        ui.painter().rect_filled(rect, 0.0, palette.surface);
        let inner = rect.shrink2(egui::vec2(12.0, 10.0));
        if let Some(panel) = self.panels.iter_mut().find(|p| p.title() == name) {
            let mut content =
                ui.new_child(egui::UiBuilder::new().max_rect(inner).id_salt(panel.title()));
            content.set_clip_rect(rect.intersect(ui.clip_rect()));
            panel.ui(&mut content, self.scene);
        }
        UiResponse::None
    }

    fn tab_title_for_pane(&mut self, name: &String) -> WidgetText {
        name.as_str().into()
    }

    fn tab_bar_height(&self, _: &egui::Style) -> f32 {
        30.0
    }

    fn gap_width(&self, _: &egui::Style) -> f32 {
        6.0
    }

    fn min_size(&self) -> f32 {
        120.0
    }

    fn tab_title_spacing(&self, _: &Visuals) -> f32 {
        11.0
    }

    fn tab_bar_color(&self, visuals: &Visuals) -> Color32 {
        Palette::of(visuals).ground
    }

    fn tab_bg_color(
        &self,
        visuals: &Visuals,
        _: &Tiles<String>,
        _: TileId,
        state: &TabState,
    ) -> Color32 {
        if state.active { Palette::of(visuals).surface } else { Color32::TRANSPARENT }
    }

    fn tab_outline_stroke(
        &self,
        _: &Visuals,
        _: &Tiles<String>,
        _: TileId,
        _: &TabState,
    ) -> Stroke {
        Stroke::NONE
    }

    fn tab_bar_hline_stroke(&self, _: &Visuals) -> Stroke {
        Stroke::NONE
    }

    fn tab_text_color(
        &self,
        visuals: &Visuals,
        _: &Tiles<String>,
        _: TileId,
        state: &TabState,
    ) -> Color32 {
        let palette = Palette::of(visuals);
        if state.active { palette.text } else { palette.weak }
    }

    fn resize_stroke(&self, style: &egui::Style, state: egui_tiles::ResizeState) -> Stroke {
        let palette = Palette::of(&style.visuals);
        match state {
            egui_tiles::ResizeState::Idle => Stroke::new(self.gap_width(style), palette.ground),
            _ => Stroke::new(2.0, palette.accent),
        }
    }

    fn drag_preview_stroke(&self, visuals: &Visuals) -> Stroke {
        Stroke::new(1.5, Palette::of(visuals).accent)
    }

    fn drag_preview_color(&self, visuals: &Visuals) -> Color32 {
        Palette::of(visuals).accent.gamma_multiply(0.15)
    }

    fn simplification_options(&self) -> SimplificationOptions {
        SimplificationOptions { all_panes_must_have_tabs: true, ..SimplificationOptions::default() }
    }
}
