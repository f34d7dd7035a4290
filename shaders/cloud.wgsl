// The cloud of annotated pairs: one round point per pair, an instanced quad each.

struct View {
    // Data to clip space: position * scale + offset.
    scale: vec2<f32>,
    offset: vec2<f32>,
    // Half a point's width and height in clip space.
    radius: vec2<f32>,
    // 1 if the target expects linear colours, 0 for gamma-encoded ones.
    linear_target: f32,
    // How opaque a point is.
    opacity: f32,
    // Gamma-encoded colours: weight 0, weight 1, pairs without a weight.
    dropped: vec4<f32>,
    trusted: vec4<f32>,
    held_out: vec4<f32>,
};

@group(0) @binding(0) var<uniform> view: View;

struct Point {
    @location(0) position: vec2<f32>,
    // In [0, 1]; below 0: the pair has none.
    @location(1) weight: f32,
    // 1 if the table's filter leaves the pair, 0 if not.
    @location(2) matches: f32,
};

struct Fragment {
    @builtin(position) clip: vec4<f32>,
    @location(0) corner: vec2<f32>,
    @location(1) color: vec4<f32>,
};

@vertex
fn vertex(@builtin(vertex_index) index: u32, point: Point) -> Fragment {
    let corner = vec2<f32>(f32(index & 1u), f32(index >> 1u)) * 2.0 - 1.0;
    var color = view.held_out;
    if point.weight == 0.0 {
        color = view.dropped;
    } else if point.weight > 0.0 {
        color = mix(view.dropped, view.trusted, 0.35 + 0.65 * min(point.weight, 1.0));
    }
    let opacity = view.opacity * mix(0.08, 1.0, point.matches);
    var out: Fragment;
    out.clip = vec4<f32>(point.position * view.scale + view.offset + corner * view.radius, 0.0, 1.0);
    out.corner = corner;
    out.color = vec4<f32>(color.rgb, opacity);
    return out;
}

fn to_linear(color: vec3<f32>) -> vec3<f32> {
    let low = color / 12.92;
    let high = pow((color + 0.055) / 1.055, vec3<f32>(2.4));
    return select(high, low, color <= vec3<f32>(0.04045));
}

@fragment
fn fragment(in: Fragment) -> @location(0) vec4<f32> {
    let distance = length(in.corner);
    // A soft edge, so that points are round without multisampling.
    let alpha = in.color.a * (1.0 - smoothstep(0.72, 1.0, distance));
    if alpha <= 0.0 {
        discard;
    }
    var rgb = in.color.rgb;
    if view.linear_target > 0.5 {
        rgb = to_linear(rgb);
    }
    return vec4<f32>(rgb * alpha, alpha);
}
