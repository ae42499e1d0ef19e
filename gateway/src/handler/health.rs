//! Asking an endpoint how it is, again and again, and the end of its ejections.

use std::{sync::Arc, time::Duration};

use prost::Message as _;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
};

use super::{frame, lane::Failure, life::Life};
use crate::backoff::jittered;

const CHECK: &str = "/grpc.health.v1.Health/Check";

/// So long nothing happens by itself where nobody is asked.
const LONG: Duration = Duration::from_secs(3600);

/// What an endpoint tells of itself, and how it fails to.
pub(super) enum Heard {
    /// It is well.
    Well,
    /// It is there, and wants no connections.
    NotServing(String),
    /// It did not answer as it should.
    Failed(String),
}

/// Tends a life until it ends.
pub(super) async fn tend(life: Arc<Life>) {
    let endpoint = life.endpoint();
    let health = &endpoint.settings().health;
    let mut asks = health.enabled;
    loop {
        let mut pause = if asks { health.interval } else { LONG };
        if asks {
            match check(&life, health).await {
                Answer::Heard(heard) => endpoint.heard(&life, heard),
                Answer::Unserved => {
                    asks = false;
                    endpoint.heard(&life, Heard::Well);
                }
                // A connection has ended; whether that is the end of the life is decided elsewhere.
                Answer::Unreached => pause = endpoint.settings().backoff_min,
            }
        }
        let now = Instant::now();
        let next = now + jittered(pause);
        let ends = endpoint.ejected_until(&life);
        let until = ends
            .filter(|ends| *ends > now)
            .map_or(next, |ends| ends.min(next));
        tokio::select! {
            () = sleep_until(until) => {}
            () = endpoint.told() => continue,
        }
        // Whoever cannot be asked is taken for well when its time is over.
        if !asks {
            endpoint.heard(&life, Heard::Well);
        }
    }
}

enum Answer {
    Heard(Heard),
    /// It has no such service, or does not let us ask.
    Unserved,
    Unreached,
}

async fn check(life: &Life, health: &config::HealthChecks) -> Answer {
    let question = HealthCheckRequest {
        service: health.service.clone(),
    };
    match life.ask(CHECK, frame(&question), health.timeout).await {
        Ok(answer) => Answer::Heard(read(&answer, &health.service)),
        Err(Failure::Unreached { .. }) => Answer::Unreached,
        Err(Failure::Refused(status)) => match status.code() {
            Code::Unimplemented => Answer::Unserved,
            Code::Unauthenticated | Code::PermissionDenied => {
                let (endpoint, error) = (life.address(), status.message());
                tracing::warn!(
                    endpoint,
                    whose = life.endpoint().whose(),
                    error,
                    "the handler does not tell how it is; its connections tell"
                );
                Answer::Unserved
            }
            Code::NotFound => Answer::Heard(Heard::NotServing(format!(
                "it knows no service \"{}\" (handler.health.service)",
                health.service
            ))),
            code => Answer::Heard(Heard::Failed(format!(
                "asked how it is, it answered {code:?}: {}",
                status.message()
            ))),
        },
        Err(Failure::TimedOut(limit)) => Answer::Heard(Heard::Failed(format!(
            "asked how it is, it did not answer within {limit:?}"
        ))),
        Err(Failure::Lost(why)) => {
            // Where a connection broke the life ends, and this with it.
            sleep(life.endpoint().settings().backoff_min).await;
            Answer::Heard(Heard::Failed(why))
        }
    }
}

fn read(answer: &[u8], service: &str) -> Heard {
    // gRPC's five bytes come first.
    let message = answer.get(5..).unwrap_or_default();
    let Ok(response) = HealthCheckResponse::decode(message) else {
        return Heard::Failed("asked how it is, it answered something else".to_owned());
    };
    match response.status() {
        ServingStatus::Serving => Heard::Well,
        status => {
            let of = if service.is_empty() { "it" } else { service };
            Heard::NotServing(format!("{of} says {}", status.as_str_name()))
        }
    }
}
