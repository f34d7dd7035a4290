//! Colours, spacing and text styles: one calm look, light and dark.

use egui::style::{HandleShape, WidgetVisuals, Widgets};
use egui::{
    Color32, CornerRadius, FontDefinitions, FontFamily, FontId, Margin, Shadow, Stroke, Style,
    TextStyle, Theme, Visuals, vec2,
};

use crate::run::{Stage, Whose};

/// The colours of one theme that egui's own visuals have no name for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Palette {
    /// Behind everything.
    pub ground: Color32,
    /// Panels.
    pub surface: Color32,
    /// Cards on panels.
    pub card: Color32,
    /// Thin lines between things.
    pub line: Color32,
    /// Text.
    pub text: Color32,
    /// Text that explains.
    pub weak: Color32,
    /// The one colour that says “here”.
    pub accent: Color32,
    /// The accent as a background for white text.
    pub accent_fill: Color32,
    /// The accent, so faint that text stays readable on it.
    pub accent_faint: Color32,
    /// The preferred response; agreement.
    pub chosen: Color32,
    /// The other response; disagreement.
    pub rejected: Color32,
    /// Worth knowing.
    pub warning: Color32,
    /// Went wrong.
    pub error: Color32,
    /// Weightless: what the threshold drops.
    pub dropped: Color32,
    /// The annotator's curves.
    pub annotator: Color32,
    /// The curves of supervised fine-tuning.
    pub sft: Color32,
}

const fn rgb(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

const DARK: Palette = Palette {
    ground: rgb(0x0f_11_15),
    surface: rgb(0x17_1a_20),
    card: rgb(0x1f_23_2b),
    line: rgb(0x2b_30_3a),
    text: rgb(0xd9_dd_e4),
    weak: rgb(0x8f_97_a5),
    accent: rgb(0x5c_c8_bd),
    accent_fill: rgb(0x1b_7f_78),
    accent_faint: rgb(0x17_33_35),
    chosen: rgb(0x6c_c9_8f),
    rejected: rgb(0xe5_8a_7b),
    warning: rgb(0xe3_b1_60),
    error: rgb(0xf0_7b_72),
    dropped: rgb(0x4a_51_5e),
    annotator: rgb(0xe3_b1_60),
    sft: rgb(0x9d_a8_f5),
};

const LIGHT: Palette = Palette {
    ground: rgb(0xe9_ec_f0),
    surface: rgb(0xfb_fc_fd),
    card: rgb(0xf1_f4_f7),
    line: rgb(0xd9_de_e5),
    text: rgb(0x22_27_2f),
    weak: rgb(0x55_5e_6b),
    accent: rgb(0x0d_7f_77),
    accent_fill: rgb(0x0d_7f_77),
    accent_faint: rgb(0xd8_ef_ec),
    chosen: rgb(0x1d_84_4e),
    rejected: rgb(0xb8_44_35),
    warning: rgb(0x9a_63_00),
    error: rgb(0xc0_2f_2a),
    dropped: rgb(0xb9_c1_cc),
    annotator: rgb(0xb0_74_0a),
    sft: rgb(0x51_5f_d1),
};

impl Palette {
    /// The palette that goes with these visuals.
    pub(crate) fn of(visuals: &Visuals) -> Self {
        if visuals.dark_mode { DARK } else { LIGHT }
    }

    /// The palette of a `Ui`.
    pub(crate) fn get(ui: &egui::Ui) -> Self {
        Self::of(ui.visuals())
    }

    /// The colour of a stage's curves.
    pub(crate) fn stage(&self, stage: Stage) -> Color32 {
        match stage.about().model {
            Whose::Annotator => self.annotator,
            Whose::Reference => self.sft,
            Whose::Policy => self.accent,
        }
    }

    /// From dropped (0) to fully trusted (1).
    pub(crate) fn weight(&self, weight: f32) -> Color32 {
        if weight <= 0.0 {
            self.dropped
        } else {
            self.dropped.lerp_to_gamma(self.accent, 0.35 + 0.65 * weight.min(1.0))
        }
    }
}

/// The font of numbers, which has more signs of mathematics than that of words.
const MONOSPACED: &str = "Hack";

/// Give a context both themes, the text styles, and fonts that have the signs of formulas.
pub(crate) fn install(ctx: &egui::Context) {
    let mut fonts = FontDefinitions::default();
    if fonts.font_data.contains_key(MONOSPACED) {
        let words = fonts.families.entry(FontFamily::Proportional).or_default();
        words.push(MONOSPACED.to_owned());
    }
    ctx.set_fonts(fonts);
    for (theme, palette) in [(Theme::Dark, DARK), (Theme::Light, LIGHT)] {
        ctx.style_mut_of(theme, |style| apply(style, theme, &palette));
    }
}

fn apply(style: &mut Style, theme: Theme, p: &Palette) {
    use FontFamily::{Monospace, Proportional};
    style.text_styles = [
        (TextStyle::Small, FontId::new(11.0, Proportional)),
        (TextStyle::Body, FontId::new(13.0, Proportional)),
        (TextStyle::Button, FontId::new(13.0, Proportional)),
        (TextStyle::Heading, FontId::new(17.0, Proportional)),
        (TextStyle::Monospace, FontId::new(12.0, Monospace)),
    ]
    .into();
    style.drag_value_text_style = TextStyle::Monospace;
    let spacing = &mut style.spacing;
    spacing.item_spacing = vec2(8.0, 6.0);
    spacing.button_padding = vec2(10.0, 4.0);
    spacing.interact_size = vec2(36.0, 24.0);
    spacing.menu_margin = Margin::same(6);
    spacing.window_margin = Margin::same(12);
    spacing.slider_rail_height = 4.0;
    spacing.tooltip_width = 360.0;
    spacing.icon_width = 16.0;
    style.interaction.tooltip_delay = 0.35;
    style.visuals = visuals(theme, p);
}

fn visuals(theme: Theme, p: &Palette) -> Visuals {
    let mut v = theme.default_visuals();
    v.widgets = widgets(theme, p);
    v.override_text_color = None;
    v.weak_text_color = Some(p.weak);
    v.hyperlink_color = p.accent;
    v.warn_fg_color = p.warning;
    v.error_fg_color = p.error;
    v.faint_bg_color = p.card;
    v.extreme_bg_color = p.ground;
    v.text_edit_bg_color = Some(if theme == Theme::Dark { p.ground } else { Color32::WHITE });
    v.code_bg_color = p.card;
    v.panel_fill = p.surface;
    v.window_fill = p.surface;
    v.window_stroke = Stroke::new(1.0, p.line);
    v.window_corner_radius = CornerRadius::same(10);
    v.menu_corner_radius = CornerRadius::same(8);
    let shade = Color32::from_black_alpha(if theme == Theme::Dark { 110 } else { 36 });
    v.window_shadow = Shadow { offset: [0, 8], blur: 28, spread: 0, color: shade };
    v.popup_shadow = Shadow { offset: [0, 4], blur: 14, spread: 0, color: shade };
    v.selection.bg_fill = p.accent_faint;
    v.selection.stroke = Stroke::new(1.0, p.accent);
    v.slider_trailing_fill = true;
    v.handle_shape = HandleShape::Rect { aspect_ratio: 0.5 };
    v.indent_has_left_vline = false;
    v
}

fn widgets(theme: Theme, p: &Palette) -> Widgets {
    let raise = |by: f32| p.card.lerp_to_gamma(p.text, by);
    let state = |fill: Color32, edge: Color32, text: Color32| WidgetVisuals {
        bg_fill: fill,
        weak_bg_fill: fill,
        bg_stroke: Stroke::new(1.0, edge),
        fg_stroke: Stroke::new(1.0, text),
        corner_radius: CornerRadius::same(6),
        expansion: 0.0,
    };
    let strong = if theme == Theme::Dark { Color32::WHITE } else { Color32::BLACK };
    Widgets {
        noninteractive: state(p.surface, p.line, p.text),
        inactive: state(raise(0.05), p.line, p.text),
        hovered: state(raise(0.10), p.accent.gamma_multiply(0.7), strong),
        active: state(raise(0.03), p.accent, strong),
        open: state(raise(0.06), p.line, p.text),
    }
}
