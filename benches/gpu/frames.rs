//! How long the window takes to draw a frame on a GPU, without a screen: the layout on the CPU, and
//! all of it with the picture read back.

use std::time::Instant;

use confide::app::{App, Start};
use confide::data::{AnnotatedPair, Side};
use confide::device::{self, Class};
use egui_kittest::Harness;
use egui_kittest::wgpu::WgpuTestRenderer;
use egui_wgpu::{WgpuSetup, WgpuSetupCreateNew};
use serde_json::json;

use super::shared::option;

pub(crate) fn run(words: &[String]) {
    let (pairs, frames) = (option(words, "--pairs", 100_000), option(words, "--frames", 200));
    let list = device::list();
    let Some(adapter) = list.iter().find(|candidate| candidate.class != Class::Cpu) else {
        println!("{}", json!({"task": "frames", "error": "no graphics adapter"}));
        return;
    };
    let mut window = Harness::builder()
        .with_size(egui::vec2(1280.0, 720.0))
        .with_max_steps(64)
        .renderer(WgpuTestRenderer::from_setup(on(adapter.name.clone())))
        .build_eframe(|cc| {
            App::new(cc, Start { recipe: confide::demo::recipe(), ..Start::default() })
        });
    window.state_mut().show_pairs(annotated(pairs));
    // The pairs are sorted on a thread of their own.
    while window.state().state().pairs.rows.len() < pairs {
        std::thread::sleep(std::time::Duration::from_millis(5));
        window.step();
    }
    let (mut layout, mut whole) = (Vec::new(), Vec::new());
    for frame in 0..frames + 10 {
        let begun = Instant::now();
        window.step();
        let laid_out = begun.elapsed().as_secs_f64();
        window.render().expect("a picture");
        if frame >= 10 {
            layout.push(1e3 * laid_out);
            whole.push(1e3 * begun.elapsed().as_secs_f64());
        }
    }
    println!(
        "{}",
        json!({
            "task": "frames", "adapter": adapter.name, "pairs": pairs, "frames": frames,
            "layout_ms": quantiles(layout), "with_readback_ms": quantiles(whole),
        })
    );
}

/// The median, and what one of a hundred exceeds.
fn quantiles(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    [values[values.len() / 2], values[values.len() * 99 / 100]]
}

/// A device on the adapter of this name.
fn on(name: String) -> WgpuSetup {
    let mut setup = WgpuSetupCreateNew::without_display_handle();
    setup.native_adapter_selector = Some(std::sync::Arc::new(move |adapters, _| {
        let found = adapters.iter().find(|adapter| adapter.get_info().name == name);
        found.cloned().ok_or_else(|| format!("no adapter is called {name}"))
    }));
    WgpuSetup::CreateNew(setup)
}

/// Pairs whose margins and labels follow from their number.
fn annotated(count: usize) -> Vec<AnnotatedPair> {
    let pair = |i: usize| AnnotatedPair {
        pair: Some(i as u64),
        margin: (i * 7919 % 1000) as f64 / 250.0,
        columns: std::collections::BTreeMap::new(),
        split: if i % 10 == 9 { "held_out" } else { "unlabelled" }.to_owned(),
        prompt: format!("prompt {i:06}"),
        responses: ["yes ".repeat(1 + i % 5), format!("No {}", i % 13)],
        human: Some(if i.is_multiple_of(4) { Side::Second } else { Side::First }),
        scores: [(i * 7919 % 1000) as f32 / 250.0, 0.0],
        label: Side::First,
    };
    (0..count).map(pair).collect()
}
