//! One clientid, as this pod has it: shared by whoever follows each other here, and free with the last of them.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::Inner;
use crate::{broker::others::Pod, connection::Handle};

/// A clientid that this pod has, or had until another one got it.
pub struct Held {
    pub(super) clientid: Arc<str>,
    /// Set once it is claimed.
    number: OnceCell<AtomicU64>,
    /// Who had it before, until that pod has given it up.
    former: Mutex<Option<Pod>>,
    given_up: OnceCell<()>,
    state: Mutex<State>,
    table: Weak<Inner>,
}

/// Who has it here.
enum State {
    /// Nobody yet, or not any more.
    Free,
    By(Handle),
    /// It is another pod's.
    Lost,
}

/// Where it is found.
pub(super) struct Slot(Weak<Held>);

impl Slot {
    pub(super) fn get(&self) -> Option<Arc<Held>> {
        self.0.upgrade()
    }

    pub(super) fn weak(&self) -> Weak<Held> {
        self.0.clone()
    }

    pub(super) fn is_of(&self, held: &Held) -> bool {
        std::ptr::eq(self.0.as_ptr(), held)
    }
}

impl Held {
    pub(super) fn new(clientid: &Arc<str>, table: &Arc<Inner>) -> (Arc<Self>, Slot) {
        let held = Arc::new(Self {
            clientid: clientid.clone(),
            number: OnceCell::new(),
            former: Mutex::new(None),
            given_up: OnceCell::new(),
            state: Mutex::new(State::Free),
            table: Arc::downgrade(table),
        });
        let slot = Slot(Arc::downgrade(&held));
        (held, slot)
    }

    /// The claim: made by whoever comes first, and the others wait for it.
    pub(super) async fn claim<F>(&self, make: impl FnOnce() -> F) -> u64
    where
        F: Future<Output = (u64, Option<Pod>)>,
    {
        let claimed = async {
            let (claim, former) = make().await;
            *self.former.lock() = former;
            AtomicU64::new(claim)
        };
        let number = self.number.get_or_init(|| claimed).await;
        number.load(Relaxed)
    }

    /// Has the pod that had it give it up: whoever comes first does, and the others wait for that.
    pub(super) async fn given_up<F>(&self, have: impl FnOnce(Pod) -> F)
    where
        F: Future<Output = ()>,
    {
        let done = async {
            let former = self.former.lock().clone();
            if let Some(former) = former {
                have(former).await;
            }
        };
        self.given_up.get_or_init(|| done).await;
    }

    /// It is claimed, and was given up elsewhere.
    pub(super) fn is_claimed(&self) -> bool {
        self.given_up.initialized()
    }

    /// By which claim it was had last; none where it was not claimed yet.
    pub(super) fn last_claim(&self) -> Option<u64> {
        let number = self.number.get()?;
        Some(number.load(Relaxed))
    }

    /// Redis knows of a higher claim of this pod.
    pub(super) fn raise(&self, claim: u64) {
        if let Some(number) = self.number.get() {
            number.fetch_max(claim, Relaxed);
        }
    }

    /// The connection has it now. Not where another pod does, nor where the connection ends.
    pub(super) fn settle(&self, handle: &Handle) -> bool {
        let mut state = self.state.lock();
        if matches!(*state, State::Lost) || handle.is_ending() {
            return false;
        }
        *state = State::By(handle.clone());
        true
    }

    /// Another pod has it. Who had it here.
    pub(super) fn lose(&self) -> Option<Handle> {
        match std::mem::replace(&mut *self.state.lock(), State::Lost) {
            State::By(handle) => Some(handle),
            State::Free | State::Lost => None,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let is_lost = matches!(self.state.get_mut(), State::Lost);
        if let Some(table) = self.table.upgrade().filter(|_| !is_lost) {
            table.dropped(self);
        }
    }
}
