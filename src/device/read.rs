//! Reading numbers from a device, which may never answer: one that is lost tells its readers nothing.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use burn::tensor::{Tensor, TensorData};

use super::memory::is_cpu;
use super::started::told_of;

/// How long a device that told of a fault may still take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A tensor's numbers in f32, in their order.
///
/// # Errors
///
/// The device's words; or that it told of a fault, and answers no more.
pub(crate) fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, String> {
    let device = tensor.device();
    let data = if is_cpu(&device) {
        tensor.try_into_data().map_err(|e| format!("{e:?}"))
    } else {
        let fault = || told_of(&device).map(|fault| fault.words().to_owned());
        let answer = pin!(tensor.into_data_async());
        // What is computed after a fault is nothing, and may look like numbers.
        wait(answer, fault).and_then(|data| fault().map_or(Ok(data), Err))
    }?;
    numbers(data)
}

fn numbers(data: TensorData) -> Result<Vec<f32>, String> {
    data.try_cast_as::<f32>()
        .map_err(|e| format!("{e:?}"))?
        .try_into_vec::<f32>()
        .map_err(|e| format!("{e:?}"))
}

/// Wakes the thread that waits.
struct Waiting(Thread);

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What comes of an answer, unless a fault is told and it does not come soon.
fn wait<T, E: std::fmt::Debug>(
    mut answer: std::pin::Pin<&mut impl Future<Output = Result<T, E>>>,
    fault: impl Fn() -> Option<String>,
) -> Result<T, String> {
    let waker = Waker::from(Arc::new(Waiting(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut told: Option<Instant> = None;
    loop {
        if let Poll::Ready(found) = answer.as_mut().poll(&mut context) {
            return found.map_err(|e| format!("{e:?}"));
        }
        if let Some(words) = fault()
            && told.get_or_insert_with(Instant::now).elapsed() > PATIENCE
        {
            return Err(words);
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
}
