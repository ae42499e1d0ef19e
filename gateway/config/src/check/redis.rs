//! The Redis that the pods share: whether it is used, and how it is reached.

use crate::{BrokerKind, Config, Redis, RedisMode};

use super::{Report, authentication::login};

pub(super) fn check(config: &Config, report: &mut Report) {
    let redis = &config.redis;
    if config.broker.kind == BrokerKind::Redis {
        if redis.urls.is_empty() {
            let text =
                "there is no Redis to pass messages through; write redis.urls, or kind: memory";
            report.add("broker.kind", text);
        }
        if config.cluster.key_file.is_none() {
            let text = "pods that share a Redis must agree on conn ids, which carry a MAC under the \
                        cluster's key; write cluster.key_file, the same for all pods";
            report.add("broker.kind", text);
        }
    } else if !redis.urls.is_empty() {
        let text = "nothing uses it; write broker.kind: redis, or remove it";
        report.add("redis.urls", text);
    }
    if redis.urls.is_empty() {
        if *redis != Redis::default() {
            let text =
                "there is no address, so no Redis is used; write redis.urls, or remove the section";
            report.add("redis", text);
        }
        return;
    }
    addresses(redis, report);
    mode(redis, report);
    access(redis, report);
    let minimum = ("redis.backoff_min", redis.backoff_min);
    report.ordered(minimum, ("redis.backoff_max", redis.backoff_max));
    let message = ("broker.max_payload", config.broker.max_payload);
    let queue = ("redis.push_queue_bytes", redis.push_queue_bytes);
    report.fits("message", message, queue);
}

fn addresses(redis: &Redis, report: &mut Report) {
    let secure = redis.urls[0].is_secure();
    for (index, url) in redis.urls.iter().enumerate() {
        let field = format!("redis.urls[{index}]");
        if url.is_secure() != secure {
            let text = "it has TLS where redis.urls[0] has none, or the other way round; write rediss:// for \
                        all, or for none";
            report.add(&field, text);
        }
        if url.has_database() {
            let text = "it names a database; write the number in redis.database, or remove it";
            report.add(&field, text);
        }
        if redis.urls[..index].contains(url) {
            report.add(&field, "it is there already; remove it");
        }
    }
}

fn mode(redis: &Redis, report: &mut Report) {
    if redis.mode == RedisMode::Standalone && redis.urls.len() > 1 {
        let text =
            "one server has one address; remove it, or write redis.mode: sentinel or cluster";
        report.add("redis.urls[1]", text);
    }
    if redis.mode == RedisMode::Cluster && redis.database != 0 {
        let text = "a cluster has one database, number 0; remove it";
        report.add("redis.database", text);
    }
    let sentinel = &redis.sentinel;
    if redis.mode == RedisMode::Sentinel {
        if sentinel.master.as_deref().is_none_or(str::is_empty) {
            let text = "sentinels are asked for a master by its name; write redis.sentinel.master";
            report.add("redis.mode", text);
        }
    } else {
        for (name, written) in [
            ("master", sentinel.master.is_some()),
            ("username", sentinel.username.is_some()),
            ("password_file", sentinel.password_file.is_some()),
        ] {
            if written {
                let text = "no sentinel is asked; write redis.mode: sentinel, or remove it";
                report.add(&format!("redis.sentinel.{name}"), text);
            }
        }
    }
}

fn access(redis: &Redis, report: &mut Report) {
    login(
        "redis",
        redis.urls[0].is_secure(),
        (redis.ca_file.is_some(), redis.certificate.is_some()),
        (redis.username.is_some(), redis.password_file.is_some()),
        report,
    );
    let sentinel = &redis.sentinel;
    login(
        "redis.sentinel",
        redis.urls[0].is_secure(),
        (false, false),
        (
            sentinel.username.is_some(),
            sentinel.password_file.is_some(),
        ),
        report,
    );
}
