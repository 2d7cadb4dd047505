//! Several VMs of one plugin: the canary, the main-thread VM and the workers. In a real Envoy they
//! run at the same time, so the assertions hold in any order.

use proxy_filter_host::{Host, VmRole};
use std::time::Duration;

#[proxy_filter_host::test(guest = "roots")]
fn every_vm_runs_configure_and_they_share_metrics_and_data(mut host: Host) {
    host.workers(2);
    host.configure("a count").unwrap();
    for of in [VmRole::Canary, VmRole::Main, VmRole::Worker(0), VmRole::Worker(1)] {
        let logs = host.start_logs_of(of);
        assert!(logs.iter().any(|line| line.message == "configure a"), "{of:?}: {logs:?}");
    }
    assert_eq!(host.metric("configured"), Some(4));
    let exchange = host.get("/shared").send();
    assert_eq!(exchange.response().header("x-shared"), Some("4".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "roots")]
fn the_canary_vm_is_dropped_without_on_done(mut host: Host) {
    host.workers(1);
    host.configure("a").unwrap();
    let logs = host.start_logs_of(VmRole::Canary);
    assert!(!logs.iter().any(|line| line.message.contains("done") || line.message.contains("drop")), "{logs:?}");
}

#[proxy_filter_host::test(guest = "roots")]
fn every_worker_has_its_own_root_context(mut host: Host) {
    host.workers(3);
    host.configure("a").unwrap();
    for worker in [0, 1, 2, 0] {
        let exchange = host.get("/").on_worker(worker).send();
        assert_eq!(exchange.upstream().unwrap().header("x-filters"), Some("a".into()), "{exchange}");
        assert!(exchange.messages().contains(&"a log"), "what the serving worker logs comes first: {exchange}");
    }
}

#[proxy_filter_host::test(guest = "roots")]
fn ticks_run_on_the_main_thread_and_on_each_worker(mut host: Host) {
    host.workers(2);
    host.configure("a tick").unwrap();
    let meanwhile = host.advance(Duration::from_secs(1));
    assert_eq!(host.metric("ticks"), Some(3), "{:?}", meanwhile.messages_of_all());
}

#[proxy_filter_host::test(guest = "roots")]
fn the_vm_that_registered_last_is_notified_of_all_items(mut host: Host) {
    host.workers(2);
    host.configure("a queue").unwrap();
    for item in 0..6 {
        let exchange = host.get(&format!("/enqueue/{item}")).send();
        let line = format!("a takes {item}");
        assert_eq!(exchange.messages_of_all().iter().filter(|found| ***found == line).count(), 1, "{exchange}");
    }
    assert_eq!(host.metric("items"), Some(6));
}

#[proxy_filter_host::test(guest = "roots")]
fn a_new_configuration_reaches_every_worker(mut host: Host) {
    host.workers(2);
    host.configure("a").unwrap();
    let _ = host.reconfigure("b").unwrap();
    assert_eq!(host.metric("configured"), Some(8), "the trial, the main thread and both workers again");
    for worker in [0, 1] {
        let exchange = host.get("/").on_worker(worker).send();
        assert_eq!(exchange.upstream().unwrap().header("x-filters"), Some("b".into()), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "roots")]
fn a_configuration_that_the_canary_refuses_reaches_no_worker(mut host: Host) {
    host.workers(2);
    host.configure("a").unwrap();
    host.reconfigure("b refuse").unwrap_err();
    assert_eq!(host.metric("configured"), Some(5), "the trial counted before it refused");
    let exchange = host.get("/").send();
    assert_eq!(exchange.upstream().unwrap().header("x-filters"), Some("a".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "connection_chain")]
fn workers_serve_connections_and_share_metrics_data_and_queues(mut host: Host) {
    host.tcp();
    host.workers(2);
    host.plugin("", "b");
    host.configure("a /sss/s").unwrap();
    for number in 1..=4_u64 {
        let connection = host.connect().on_worker(usize::from(number % 2 == 0)).send("x").upstream_sends("y").play();
        assert_eq!((connection.upstream().unwrap().text(), connection.client().text()), ("x".into(), "y".into()));
        // One VM serves the connection, whichever is notified of the items.
        let own = connection.messages();
        let life = ["a new", "a down x false", "b down x false", "a up y false", "b log", "b delete"];
        assert!(life.iter().all(|line| own.contains(line)), "{connection}");
        let elsewhere = connection.messages_of_all().len() - own.len();
        let taken =
            connection.messages_of_all().into_iter().filter(|line| line.starts_with("a takes ")).collect::<Vec<_>>();
        assert_eq!(taken, ["a takes x", "a takes y"], "{connection}");
        assert!(elsewhere <= taken.len(), "another VM has nothing of the connection: {connection}");
        assert_eq!(host.metric("chunks"), Some(2 * number));
        assert_eq!(host.shared_data("chunks"), Some((2 * number).to_le_bytes().to_vec()));
        assert_eq!(host.queue("chunks"), Some(Vec::new()));
    }
}

#[proxy_filter_host::test(guest = "connection_chain", embedded)]
fn the_test_selects_the_worker_of_a_connection(mut host: Host) {
    host.tcp();
    host.workers(3);
    host.configure("a /s/").unwrap();
    // The last worker has registered the queue last.
    for (worker, own) in [(0, false), (1, false), (2, true), (2, true)] {
        let connection = host.connect().on_worker(worker).send("x").play();
        let taken = if own { connection.messages() } else { connection.messages_of(VmRole::Worker(2)) };
        assert_eq!(taken.iter().filter(|line| **line == "a takes x").count(), 1, "{connection}");
    }
    // Without it, workers take turns.
    let turns = [0, 1, 2].map(|_| host.connect().send("x").play().messages().contains(&"a takes x"));
    assert_eq!(turns.iter().filter(|own| **own).count(), 1);
}

#[proxy_filter_host::test(guest = "connection_chain")]
fn a_service_takes_what_filters_of_connections_enqueue(mut host: Host) {
    host.tcp();
    host.singleton_service("", "a");
    host.configure("b /s/").unwrap();
    let connection = host.connect().send("x").play();
    assert_eq!(connection.messages_of(VmRole::Main), ["a takes x"], "{connection}");
    assert!(!connection.messages().contains(&"a takes x"), "{connection}");
}

#[test]
fn in_the_embedded_host_the_test_selects_the_worker_of_a_request() {
    let module = proxy_filter_host::build_guest(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")),
        "proxy-filter-guests",
        Some("roots"),
    );
    let mut host = Host::for_module(&std::fs::read(module.unwrap()).unwrap());
    host.workers(2);
    host.configure("a queue").unwrap();
    // The last worker registered the queue last.
    let exchange = host.get("/enqueue/x").on_worker(0).send();
    assert_eq!(exchange.messages_of(VmRole::Worker(1)), ["a takes x"], "{exchange}");
    let exchange = host.get("/enqueue/y").on_worker(1).send();
    assert!(exchange.messages().contains(&"a takes y"), "{exchange}");
    assert!(exchange.messages_of(VmRole::Worker(0)).is_empty() && exchange.messages_of(VmRole::Main).is_empty());
}

#[test]
fn in_the_embedded_host_a_stream_on_one_worker_is_paused_while_another_serves() {
    let module = proxy_filter_host::build_guest(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")),
        "proxy-filter-guests",
        Some("roots"),
    );
    let mut host = Host::for_module(&std::fs::read(module.unwrap()).unwrap());
    host.workers(2);
    host.configure("a").unwrap();
    let outer = host.get("/outer").on_worker(0).before_response(|host| {
        for worker in [0, 1] {
            let exchange = host.get("/inner").on_worker(worker).send();
            assert_eq!(exchange.status(), 200, "{exchange}");
        }
        let update = host.reconfigure("b").unwrap();
        assert!(update.messages_of(VmRole::Worker(1)).contains(&"a root done"), "no stream there: {update}");
        assert!(!update.messages().contains(&"a root done"), "{update}");
    });
    let exchange = outer.send();
    assert!(exchange.messages().contains(&"a root done"), "{exchange}");
}
