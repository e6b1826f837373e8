use super::*;

fn job(id: i64, seconds: u64, script: &str) -> Job {
    Job {
        id,
        interval: Duration::from_secs(seconds),
        filename: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
    }
}

fn ids(jobs: &[Job]) -> Vec<i64> {
    jobs.iter().map(|job| job.id).collect()
}

#[test]
fn a_job_comes_every_interval_and_never_beside_itself() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut plan = Plan::default();
    plan.load(vec![job(1, 10, "a"), job(2, 15, "b")], start);
    assert!(plan.take_due(at(9), 9).is_empty());
    assert_eq!(ids(&plan.take_due(at(10), 9)), [1]);
    assert_eq!(plan.next(), Some(at(15)));
    assert_eq!(ids(&plan.take_due(at(20), 9)), [2], "the first still runs");
    plan.ended(1);
    assert_eq!(ids(&plan.take_due(at(30), 9)), [1]);
    plan.ended(1);
    plan.ended(2);
    assert_eq!(ids(&plan.take_due(at(1000), 9)), [1, 2], "after a pause each comes once");
}

#[test]
fn a_load_keeps_times_and_remembers_what_runs() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut plan = Plan::default();
    plan.load(vec![job(1, 10, "a"), job(2, 10, "b")], start);
    plan.load(vec![job(1, 10, "a"), job(2, 10, "changed")], at(5));
    assert_eq!(ids(&plan.take_due(at(10), 9)), [1]);
    plan.load(vec![job(2, 10, "changed")], at(11));
    assert_eq!(ids(&plan.take_due(at(15), 9)), [2]);
    plan.load(vec![job(1, 1, "a"), job(2, 10, "changed")], at(16));
    assert!(plan.take_due(at(20), 9).is_empty(), "the run of before its removal goes on");
    plan.ended(1);
    assert_eq!(ids(&plan.take_due(at(22), 9)), [1]);
    assert!(plan.take_due(at(40), 2).is_empty(), "no more than may run at one time");
}

#[test]
fn a_program_gets_its_arguments_and_nothing_else() {
    let (outcome, output) =
        run::run(&job(1, 1, "env | grep -v -e PWD -e SHLVL -e ^_=; pwd; cat; echo bad >&2; exit 3"));
    assert!(output.starts_with("PATH=") && output.ends_with("/\nbad"), "{output}");
    assert_eq!(output.lines().count(), 3, "{output}");
    assert!(matches!(outcome, Outcome::Failure(reason) if reason.contains('3')));
    assert_eq!(run::run(&job(1, 1, "true")), (Outcome::Success, String::new()));
    let missing = Job { filename: "/nonexistent/program".into(), ..job(1, 1, "") };
    assert!(matches!(run::run(&missing).0, Outcome::Failure(reason) if reason.contains("cannot be run")));
}

#[test]
fn output_is_bounded_and_a_background_child_holds_nobody_up() {
    let begun = Instant::now();
    let (outcome, output) = run::run(&job(1, 1, "head -c 1000000 /dev/zero | tr '\\0' x; sleep 5 & exit 0"));
    assert_eq!((outcome, output.len()), (Outcome::Success, 4096));
    assert!(begun.elapsed() < Duration::from_secs(5));
}
