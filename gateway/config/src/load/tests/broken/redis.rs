//! The same of the Redis that pods share.

/// A file, and the error after the file's name.
pub(super) const BROKEN: &[(&str, &str)] = &[
    (
        "cluster: {key_file: /k}\nbroker:\n  kind: redis",
        "3:9: broker.kind: there is no Redis to pass messages through; write redis.urls, or kind: \
         memory",
    ),
    (
        "broker:\n  kind: redis\nredis: {urls: [\"redis://a\"]}",
        "2:9: broker.kind: pods that share a Redis must agree on conn ids, which carry a MAC under \
         the cluster's key; write cluster.key_file, the same for all pods",
    ),
    (
        "redis:\n  urls: [\"redis://a\"]",
        "2:9: redis.urls: nothing uses it; write broker.kind: redis, or remove it",
    ),
    (
        "redis:\n  timeout: 3s",
        "2:3: redis: there is no address, so no Redis is used; write redis.urls, or remove the \
         section",
    ),
    (
        "broker: {kind: redis}\ncluster: {key_file: /k}\nredis:\n  urls: [\"redis://a/3\"]",
        "4:10: redis.urls[0]: it names a database; write the number in redis.database, or remove it",
    ),
    (
        "broker: {kind: redis}\ncluster: {key_file: /k}\nredis:\n  urls: [\"redis://:hunter2@a\"]",
        "4:10: redis.urls[0]: it holds a name or password; remove them: passwords and tokens have \
         files of their own",
    ),
    (
        "broker: {kind: redis}\ncluster: {key_file: /k}\nredis:\n  urls: [\"redis://a\", \"redis://b\"]",
        "4:23: redis.urls[1]: one server has one address; remove it, or write redis.mode: sentinel \
         or cluster",
    ),
    (
        "broker: {kind: redis}\ncluster: {key_file: /k}\nredis:\n  mode: cluster\n  \
         urls: [\"redis://a\", \"rediss://b\"]",
        "5:23: redis.urls[1]: it has TLS where redis.urls[0] has none, or the other way round; write \
         rediss:// for all, or for none",
    ),
    (
        "broker: {kind: redis}\ncluster: {key_file: /k}\nredis:\n  mode: cluster\n  \
         urls: [\"redis://a\", \"redis://a\"]",
        "5:23: redis.urls[1]: it is there already; remove it",
    ),
    (
        "broker: {kind: redis}\ncluster: {key_file: /k}\nredis:\n  urls: [\"redis://a\"]\n  \
         mode: cluster\n  database: 1",
        "6:13: redis.database: a cluster has one database, number 0; remove it",
    ),
    (
        "broker: {kind: redis}\ncluster: {key_file: /k}\nredis:\n  urls: [\"redis://a\"]\n  \
         mode: sentinel",
        "5:9: redis.mode: sentinels are asked for a master by its name; write redis.sentinel.master",
    ),
    (
        "broker: {kind: redis}\ncluster: {key_file: /k}\nredis:\n  urls: [\"redis://a\"]\n  \
         sentinel: {master: m}",
        "5:22: redis.sentinel.master: no sentinel is asked; write redis.mode: sentinel, or remove it",
    ),
    (
        "broker: {kind: redis}\ncluster: {key_file: /k}\nredis:\n  urls: [\"redis://a\"]\n  \
         mode: primary",
        "5:9: redis.mode: \"primary\" is not supported; write one of standalone, sentinel, cluster",
    ),
    (
        "broker: {kind: redis}\ncluster: {key_file: /k}\nredis:\n  urls: [\"redis://a\"]\n  \
         ca_file: /ca",
        "5:12: redis.ca_file: the address starts with redis://, which shows no certificate; write \
         rediss://, or remove it",
    ),
    (
        "broker: {kind: redis}\ncluster: {key_file: /k}\nredis:\n  urls: [\"redis://a\"]\n  \
         username: u",
        "5:13: redis.username: a user of Redis has a password; write password_file, or remove it",
    ),
    (
        "broker: {kind: redis}\ncluster: {key_file: /k}\nredis:\n  urls: [\"redis://a\"]\n  \
         prefix: \"a{b}\"",
        "5:11: redis.prefix: \"a{b}\" cannot stand before keys; write up to 64 characters, for \
         example exproto:, without blanks and { } * ? [ ] \\",
    ),
    (
        "broker: {kind: redis}\ncluster: {key_file: /k}\nredis:\n  urls: [\"redis://a\"]\n  \
         backoff_min: 1m",
        "5:16: redis.backoff_min: it is more than redis.backoff_max; write the same or less",
    ),
    (
        "broker: {kind: redis}\ncluster: {key_file: /k}\nredis:\n  urls: [\"redis://a\"]\n  \
         push_queue: 1",
        "5:15: redis.push_queue: 1 is out of bounds; write a number from 16 to 10000000",
    ),
];
