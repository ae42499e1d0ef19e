//! A pod to which Redis delivers nothing: it may say that it is not ready, unless too many others have.

use std::sync::atomic::Ordering::Relaxed;

use super::{Failure, Inner};

/// Takes or keeps one of the places for those that are not ready; there are none for a pod that is alone.
pub(super) const STEP_BACK: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, over in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. now)) do
  redis.call('ZREM', KEYS[2], over)
end
local living = #redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf')
local others = 0
for _, pod in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], now, '+inf')) do
  if pod ~= ARGV[1] then others = others + 1 end
end
local places = math.max(1, math.floor(living * ARGV[3]))
if living < 2 or others >= places then return 0 end
redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
return 1
";

impl Inner {
    /// So many probes in a row were lost.
    pub(super) async fn lost_probes(&self, lost: u32) {
        if lost < self.settings.deaf.lost_probes {
            return;
        }
        // Who cannot ask does not step back: it may be the same for all.
        let may = self.step_back().await.unwrap_or(false);
        if may && !self.is_deaf.swap(true, Relaxed) {
            tracing::error!(
                lost,
                "Redis takes messages of this pod and delivers none to it: it is not ready"
            );
        } else if !may {
            self.is_deaf.store(false, Relaxed);
        }
    }

    /// A probe came back.
    pub(super) async fn hears_again(&self) {
        if !self.is_deaf.swap(false, Relaxed) {
            return;
        }
        tracing::info!("Redis delivers messages to this pod again");
        let deaf = self.names.deaf();
        let mut leave = redis::cmd("ZREM");
        leave.arg(&deaf).arg(&*self.settings.own);
        // Else the place is free once its time is over.
        let _: Result<(), _> = self.link.command(&deaf, &leave).await;
    }

    async fn step_back(&self) -> Result<bool, Failure> {
        let keys = [self.names.pods(), self.names.deaf()];
        let keys = keys.each_ref().map(String::as_str);
        let (lease, share) = (
            self.settings.lease.as_millis().to_string(),
            self.settings.deaf.max_share.share().to_string(),
        );
        let own = self.settings.own.as_bytes();
        let arguments = [own, lease.as_bytes(), share.as_bytes()];
        let done: u8 = self.link.script(&self.stepping, &keys, &arguments).await?;
        Ok(done == 1)
    }
}
