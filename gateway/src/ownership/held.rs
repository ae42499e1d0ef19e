//! One clientid, as this pod has it: shared by whoever follows each other here, and free with the last of them.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::{Inner, table::Claimed};
use crate::{broker::others::Pod, connection::Handle, redis::Failure};

/// A clientid that this pod has, or had until another one got it.
pub struct Held {
    pub(super) clientid: Arc<str>,
    /// Set once it is claimed.
    number: OnceCell<AtomicU64>,
    /// Who had it before, until that pod has given it up.
    former: Mutex<Option<Pod>>,
    given_up: OnceCell<()>,
    state: Mutex<State>,
    /// There may be a session elsewhere that is not here yet.
    is_unfetched: AtomicBool,
    /// For how long a session outlives its client, in milliseconds; 0 where there is none.
    expiry: AtomicU64,
    /// What this pod has written last of a session; empty where it has not.
    written: Mutex<String>,
    /// That is not what Redis has.
    is_unsaved: AtomicBool,
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

    /// Whether nobody has it any more.
    pub(super) fn is_over(&self) -> bool {
        self.0.strong_count() == 0
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
            is_unfetched: AtomicBool::new(false),
            expiry: AtomicU64::new(0),
            written: Mutex::default(),
            is_unsaved: AtomicBool::new(false),
            table: Arc::downgrade(table),
        });
        let slot = Slot(Arc::downgrade(&held));
        (held, slot)
    }

    /// The claim: made by whoever comes first, and the others wait for it.
    pub(super) async fn claim<F>(&self, make: impl FnOnce() -> F) -> u64
    where
        F: Future<Output = Claimed>,
    {
        let claimed = async {
            let Claimed {
                claim,
                former,
                written,
            } = make().await;
            let is_unfetched = !written.is_empty() || former.is_some();
            self.is_unfetched.store(is_unfetched, Relaxed);
            *self.former.lock() = former;
            AtomicU64::new(claim)
        };
        let number = self.number.get_or_init(|| claimed).await;
        number.load(Relaxed)
    }

    /// The claim, made from that of a dead pod. Whether it could be; whoever waits makes another one else.
    pub(super) async fn inherit<F>(&self, make: F) -> Result<bool, Failure>
    where
        F: Future<Output = Result<Option<u64>, Failure>>,
    {
        let mut is_own = false;
        let inherited = self.number.get_or_try_init(|| async {
            match make.await {
                Ok(Some(claim)) => {
                    is_own = true;
                    Ok(AtomicU64::new(claim))
                }
                Ok(None) => Err(None),
                Err(failure) => Err(Some(failure)),
            }
        });
        if let Err(Some(failure)) = inherited.await {
            return Err(failure);
        }
        if is_own {
            self.is_unfetched.store(true, Relaxed);
            let _ = self.given_up.set(());
        }
        Ok(is_own)
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

    /// Which one it is.
    #[must_use]
    pub fn clientid(&self) -> &Arc<str> {
        &self.clientid
    }

    /// The claim that it is had by; 0 before that is made.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.last_claim().unwrap_or_default()
    }

    /// Whether another pod has got it.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(*self.state.lock(), State::Lost)
    }

    /// Whether there may be a session elsewhere that is not here yet.
    #[must_use]
    pub fn is_unfetched(&self) -> bool {
        self.is_unfetched.load(Relaxed)
    }

    /// It is here, or there is none.
    pub fn note_fetched(&self) {
        self.is_unfetched.store(false, Relaxed);
    }

    /// A session of it outlives its client by so long.
    pub fn set_expiry(&self, expiry: Duration) {
        let expiry = u64::try_from(expiry.as_millis()).unwrap_or(u64::MAX);
        self.expiry.store(expiry, Relaxed);
    }

    /// For how long a session of it outlives its client.
    pub(super) fn expiry(&self) -> Duration {
        Duration::from_millis(self.expiry.load(Relaxed))
    }

    /// This pod has written that of a session.
    pub fn note_written(&self, written: &str) {
        written.clone_into(&mut self.written.lock());
    }

    /// Redis says what was written last of it.
    pub(super) fn compare(&self, written: &str) {
        let own = self.written.lock();
        if !own.is_empty() && *own != written {
            self.is_unsaved.store(true, Relaxed);
        }
    }

    /// Whether Redis was found to have something else since this was last asked.
    #[must_use]
    pub fn take_unsaved(&self) -> bool {
        self.is_unsaved.swap(false, Relaxed)
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
