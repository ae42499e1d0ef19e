//! Tasks for whoever comes, with a bound. At the bound the oldest gives way: the tasks are short for all but those who
//! keep them waiting, so whoever is honest is never the oldest.

use std::collections::VecDeque;

use tokio::task::{AbortHandle, JoinSet};

/// Tasks, which end with it.
pub struct Crowd {
    tasks: JoinSet<()>,
    by_age: VecDeque<AbortHandle>,
    most: usize,
}

impl Crowd {
    /// With room for so many.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            tasks: JoinSet::new(),
            by_age: VecDeque::new(),
            most,
        }
    }

    /// Begins a task. Whether another one had to give way.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) -> bool {
        while self.tasks.try_join_next().is_some() {}
        if self.by_age.len() >= self.most {
            self.by_age.retain(|task| !task.is_finished());
        }
        let oldest = if self.by_age.len() >= self.most {
            self.by_age.pop_front()
        } else {
            None
        };
        if let Some(oldest) = &oldest {
            oldest.abort();
        }
        self.by_age.push_back(self.tasks.spawn(task));
        oldest.is_some()
    }

    /// Waits until all have ended.
    pub async fn ended(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn the_oldest_gives_way() {
        let mut crowd = Crowd::new(2);
        let mut begun = Vec::new();
        for number in 0..3 {
            let (hold, mut ended) = mpsc::channel::<()>(1);
            let gave_way = crowd.spawn(async move {
                let _hold = hold;
                std::future::pending::<()>().await;
            });
            assert_eq!(gave_way, number == 2);
            begun.push(async move { ended.recv().await });
        }
        // Its end of the channel is dropped.
        assert_eq!(begun.remove(0).await, None);
    }

    #[tokio::test]
    async fn whoever_has_ended_makes_room() {
        let mut crowd = Crowd::new(1);
        for _ in 0..3 {
            assert!(!crowd.spawn(async {}));
            crowd.ended().await;
        }
    }
}
