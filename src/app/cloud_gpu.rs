//! The cloud on the graphics card: one pipeline, one buffer of points, drawn inside egui's pass.

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};
use egui_wgpu::{CallbackResources, CallbackTrait, RenderState, ScreenDescriptor, wgpu};

/// One pair in the cloud.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Point {
    /// Margin and difference of lengths.
    pub position: [f32; 2],
    /// In [0, 1]; −1 for pairs without a weight.
    pub weight: f32,
    /// 1 if the table's filter leaves the pair.
    pub matches: f32,
}

/// Where and how points are drawn; as the shader has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct View {
    /// Data to clip space: position × scale + offset.
    pub scale: [f32; 2],
    /// See `scale`.
    pub offset: [f32; 2],
    /// Half a point's width and height in clip space.
    pub radius: [f32; 2],
    /// Set by the callback: 1 if the target expects linear colours.
    pub linear_target: f32,
    /// How opaque a point is.
    pub opacity: f32,
    /// Colour of weight 0.
    pub dropped: [f32; 4],
    /// Colour of weight 1.
    pub trusted: [f32; 4],
    /// Colour of pairs without a weight.
    pub held_out: [f32; 4],
}

/// One frame of the cloud.
pub(crate) struct Cloud {
    /// Where and how.
    pub view: View,
    /// The points.
    pub points: Arc<Vec<Point>>,
    /// Another number for other points.
    pub number: u64,
}

struct Gpu {
    pipeline: wgpu::RenderPipeline,
    bindings: wgpu::BindGroup,
    view: wgpu::Buffer,
    points: wgpu::Buffer,
    count: u32,
    number: Option<u64>,
    linear_target: bool,
}

/// Build the pipeline for the window's target.
pub(crate) fn install(graphics: &RenderState) {
    let gpu = Gpu::new(&graphics.device, graphics.target_format);
    graphics.renderer.write().callback_resources.insert(gpu);
}

impl Gpu {
    fn new(device: &wgpu::Device, target: wgpu::TextureFormat) -> Self {
        let view = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("cloud view"),
            size: size_of::<View>() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("cloud"),
            entries: &[wgpu::BindGroupLayoutEntry {
                binding: 0,
                visibility: wgpu::ShaderStages::VERTEX_FRAGMENT,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Uniform,
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            }],
        });
        let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("cloud"),
            layout: &layout,
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: view.as_entire_binding() }],
        });
        Self {
            pipeline: pipeline(device, &layout, target),
            bindings,
            view,
            points: buffer(device, 0),
            count: 0,
            number: None,
            linear_target: target.is_srgb(),
        }
    }
}

fn buffer(device: &wgpu::Device, points: usize) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("cloud points"),
        size: (points.max(1) * size_of::<Point>()) as u64,
        usage: wgpu::BufferUsages::VERTEX | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

fn pipeline(
    device: &wgpu::Device,
    layout: &wgpu::BindGroupLayout,
    target: wgpu::TextureFormat,
) -> wgpu::RenderPipeline {
    let shader = device.create_shader_module(wgpu::include_wgsl!("../../shaders/cloud.wgsl"));
    let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some("cloud"),
        bind_group_layouts: &[Some(layout)],
        immediate_size: 0,
    });
    let attributes = wgpu::vertex_attr_array![0 => Float32x2, 1 => Float32, 2 => Float32];
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("cloud"),
        layout: Some(&layout),
        vertex: wgpu::VertexState {
            module: &shader,
            entry_point: Some("vertex"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers: &[Some(wgpu::VertexBufferLayout {
                array_stride: size_of::<Point>() as u64,
                step_mode: wgpu::VertexStepMode::Instance,
                attributes: &attributes,
            })],
        },
        primitive: wgpu::PrimitiveState {
            topology: wgpu::PrimitiveTopology::TriangleStrip,
            ..Default::default()
        },
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: &shader,
            entry_point: Some("fragment"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(wgpu::ColorTargetState {
                format: target,
                blend: Some(wgpu::BlendState::PREMULTIPLIED_ALPHA_BLENDING),
                write_mask: wgpu::ColorWrites::ALL,
            })],
        }),
        multiview_mask: None,
        cache: None,
    })
}

impl CallbackTrait for Cloud {
    fn prepare(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        _: &ScreenDescriptor,
        _: &mut wgpu::CommandEncoder,
        resources: &mut CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        if let Some(gpu) = resources.get_mut::<Gpu>() {
            if gpu.number != Some(self.number) {
                let bytes: &[u8] = bytemuck::cast_slice(&self.points);
                if gpu.points.size() < bytes.len() as u64 {
                    gpu.points = buffer(device, self.points.len());
                }
                queue.write_buffer(&gpu.points, 0, bytes);
                gpu.count = self.points.len() as u32;
                gpu.number = Some(self.number);
            }
            let view = View { linear_target: f32::from(u8::from(gpu.linear_target)), ..self.view };
            queue.write_buffer(&gpu.view, 0, bytemuck::bytes_of(&view));
        }
        Vec::new()
    }

    fn paint(
        &self,
        _: egui::PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        resources: &CallbackResources,
    ) {
        if let Some(gpu) = resources.get::<Gpu>().filter(|gpu| gpu.count > 0) {
            pass.set_pipeline(&gpu.pipeline);
            pass.set_bind_group(0, &gpu.bindings, &[]);
            pass.set_vertex_buffer(0, gpu.points.slice(..));
            pass.draw(0..4, 0..gpu.count);
        }
    }
}
