//! Learning from a teacher's next-token distribution, against transformers and torch, and against autodiff.
//! `make_distillation.py` says what the fixture's numbers are.

use std::rc::Rc;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use confide::batch::{Batch, Sequence};
use confide::model::{Decoder, DecoderConfig, Reading, Teacher, build, input, read_sequences};
use confide::train::{
    Distillation, ExecutionPlan, Gradients, OutputKind, Pass, PassSettings, Sampler, SftTask, Task,
    Training,
};

use super::gradients::compare;
use super::{assert_within, batch, expected, files, open, sequences, vector};
use crate::common::{assert_close, fixture, numbers};

fn taught(decoder: &Decoder, weight: f64, temperature: f64) -> Reading {
    let teacher = Teacher { decoder: Rc::new(decoder.clone()), temperature, weight };
    Reading { teacher: Some(teacher), ..Reading::default() }
}

/// What is read of a batch, and the gradients of Σ cotangent·output.
fn pass(
    model: &Decoder,
    batch: &Batch,
    reading: &Reading,
    cotangent: &[f32],
    recompute: bool,
) -> (Vec<f64>, Gradients) {
    let settings = PassSettings { recompute, seed: 0 };
    let pass = Pass::forward_reading(model, batch, OutputKind::LogProbs, reading, settings);
    let outputs = vector(pass.outputs());
    let mut gradients = Gradients::default();
    pass.backward(&Tensor::from_floats(cotangent, &model.device()), &mut gradients);
    (outputs, gradients)
}

#[test]
fn values_and_gradients_agree_with_torch() {
    for case in fixture("distillation.json").as_array().unwrap() {
        let name = |key: &str| case[key].as_str().unwrap();
        let number = |key: &str| case[key].as_f64().unwrap();
        let (student, teacher) = (open(name("student")), open(name("teacher")).decoder);
        let reading = taught(&teacher, number("weight"), number("temperature"));
        let expected = expected(name("student"));
        let sequences = sequences(&expected, 4);
        let packed = Batch::packed(&sequences.iter().collect::<Vec<_>>(), 0);
        for batch in [batch(&sequences), packed] {
            for recompute in [false, true] {
                let (values, gradients) =
                    pass(&student.decoder, &batch, &reading, &[-0.5, -0.5], recompute);
                assert_within(&values, &numbers(&case["values"]), name("student"));
                compare(name("student"), &student, &gradients, &case["grads"]);
            }
            let inferred = vector(read_sequences(&student.decoder, &batch, &reading));
            assert_within(&inferred, &numbers(&case["values"]), name("student"));
        }
        if let Some(entropies) = case.get("entropies") {
            // Cross-entropy with oneself is entropy.
            let values: Vec<f64> = numbers(entropies).into_iter().map(|e| -e).collect();
            assert_within(&numbers(&case["values"]), &values, "the fixture");
        }
    }
}

/// Without a share the teacher changes nothing, whatever it says.
#[test]
fn a_teacher_without_a_share_changes_nothing() {
    let student = open("llama").decoder;
    let teacher = open("opt-untied").decoder;
    let batch = batch(&sequences(&expected("llama"), 4));
    let plain = pass(&student, &batch, &Reading::default(), &[1.0, -2.0], true);
    let with = pass(&student, &batch, &taught(&teacher, 0.0, 0.25), &[1.0, -2.0], true);
    assert_close(&with.0, &plain.0, 1e-6, "values");
    assert_eq!(plain.1.iter().count(), with.1.iter().count());
    for ((name, plain), (_, with)) in plain.1.iter().zip(with.1.iter()) {
        assert_close(&vector(with.clone()), &vector(plain.clone()), 1e-6, name);
    }
}

/// One weight moved up and down moves the value by the gradient.
#[test]
fn gradients_are_finite_differences() {
    let (student, teacher) = (open("llama").decoder, open("qwen3").decoder);
    let batch = batch(&sequences(&expected("llama"), 4));
    let reading = taught(&teacher, 0.6, 0.5);
    let (_, gradients) = pass(&student, &batch, &reading, &[1.0, 1.0], false);
    let head = student.head.as_ref().unwrap().weight.val();
    let [_, width] = head.dims();
    let found = gradients.iter().find(|(name, _)| *name == "head.weight").unwrap().1.clone();
    let found = vector(found);
    let value = |token: usize, column: usize, by: f32| -> f64 {
        let mut moved = student.clone();
        let place = [token..token + 1, column..column + 1];
        let step = Tensor::<2>::full([1, 1], by, &head.device());
        let weight = head.clone();
        let weight = weight.clone().slice_assign(place.clone(), weight.slice(place) + step);
        moved.head.as_mut().unwrap().weight = Param::from_tensor(weight);
        vector(read_sequences(&moved, &batch, &reading)).iter().sum()
    };
    let steepest = |skip: usize| {
        let mut order: Vec<usize> = (0..found.len()).collect();
        order.sort_by(|a, b| found[*b].abs().total_cmp(&found[*a].abs()));
        order[skip]
    };
    for place in [steepest(0), steepest(1), steepest(100)] {
        let (token, column) = (place / width, place % width);
        let slope = (value(token, column, 1e-2) - value(token, column, -1e-2)) / 2e-2;
        let error = (slope - found[place]).abs();
        assert!(error < 1e-2 * found[place].abs().max(0.1), "{slope} not {}", found[place]);
    }
}

/// A decoder without layers: an embedding, a norm and a head of its own.
pub(super) fn shallow(vocabulary: usize, width: usize, seed: usize) -> Decoder {
    let config = confide::model::read_config(&files("llama")).unwrap().1;
    let config = DecoderConfig {
        vocabulary,
        hidden: width,
        embedding: width,
        layers: 0,
        heads: 1,
        kv_heads: 1,
        head_dim: width,
        ..config
    };
    let number = |i: usize| ((i * 7919 + seed * 104_729) % 1013) as f32 / 506.5 - 1.0;
    let get = |_: &str, shape: &[usize]| Ok((0..shape.iter().product()).map(number).collect());
    build(config, &Device::flex(), &get).unwrap()
}

/// More tokens and more positions than a chunk holds, against plain operations under autodiff.
#[test]
fn chunks_give_what_plain_operations_give() {
    let (vocabulary, weight, temperature) = (4999, 0.6, 0.5);
    let (student, teacher) = (shallow(vocabulary, 4, 1), shallow(vocabulary, 6, 2));
    let tokens = |n: usize, by: usize| (0..n).map(move |i| (i * by % vocabulary) as u32);
    let sequence =
        Sequence { prompt: tokens(3, 17).collect(), response: tokens(700, 7919).collect() };
    let batch = Batch::one_per_row(&[&sequence], 0);
    let (values, gradients) =
        pass(&student, &batch, &taught(&teacher, weight, temperature), &[1.0], false);

    let active = student.clone().train();
    let places = 2..702;
    let logits = |decoder: &Decoder, head: Tensor<2>, input| {
        let hidden = decoder.hidden(&input, None);
        let width = hidden.dims()[2];
        hidden
            .slice([0..1, places.clone(), 0..width])
            .reshape([700, width])
            .matmul(head.transpose())
    };
    let head = |decoder: &Decoder| decoder.head.as_ref().unwrap().weight.val();
    let input = || input(&batch, &Device::flex());
    let log_p = activation::log_softmax(logits(&active, head(&active), input()), 1);
    let of_teacher = logits(&teacher, head(&teacher), input()).div_scalar(temperature);
    let q = activation::softmax(of_teacher, 1).autodiff();
    let targets: Vec<i32> = sequence.response.iter().map(|t| *t as i32).collect();
    let targets = Tensor::<2, Int>::from_data(TensorData::new(targets, [700, 1]), &Device::flex());
    let data = log_p.clone().gather(1, targets).sum();
    let value = data.mul_scalar(1.0 - weight) + (q * log_p).sum().mul_scalar(weight);
    let found = value.clone().backward();
    assert_close(&values, &vector(value.inner()), 1e-5, "value");
    let wanted = [
        ("head.weight", head(&active).grad(&found).unwrap()),
        ("embedding.weight", active.embedding.weight.val().grad(&found).unwrap()),
    ];
    for (name, wanted) in wanted {
        let found = gradients.iter().find(|(path, _)| *path == name).unwrap().1.clone();
        assert_close(&vector(found), &vector(wanted), 1e-4, name);
    }
}

/// The teacher is asked for the steps that it teaches, and for none after.
#[test]
fn the_teacher_is_let_go_after_its_steps() {
    let checkpoint = open("llama");
    let footprint = confide::model::Footprint::of(&checkpoint, confide::model::Precision::F32);
    let teacher = taught(&checkpoint.decoder, 0.5, 1.0).teacher;
    let held = Rc::clone(&teacher.as_ref().unwrap().decoder);
    let sequences = sequences(&expected("llama"), 4);
    let plain = SftTask::new(sequences.clone(), 0);
    let distillation = Distillation { steps: 2, teacher, footprint: footprint.clone() };
    let mut task = SftTask::new(sequences, 0).with_distillation(distillation);
    for step in 0..4 {
        task.before_step(step, 4);
        assert_eq!(task.reading(&[0]).teacher.is_some(), step < 2, "step {step}");
        assert_eq!(Rc::strong_count(&held), if step < 2 { 2 } else { 1 }, "step {step}");
    }
    // Its weights are counted, and what is held while it is asked.
    let training = Training { batch_size: 2, accumulate: 1, ..Training::default() };
    let order = Sampler::new(2, &training, false, 0, 0);
    let needs =
        |task: &SftTask| ExecutionPlan::default().needs(&footprint, task, &order, &training);
    let (with, without) = (needs(&task), needs(&plain));
    assert_eq!(with.weights, without.weights + footprint.weights());
    assert!(with.activations > without.activations);
}
