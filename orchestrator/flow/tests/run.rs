//! What a run does, told as facts in and commands out.

use std::sync::Arc;

use flow::plan::{Need, Plan, Retry, Task};
use flow::run::{Command, Event, Record, Run, RunState, Stale, TaskState};
use flow::spec::Backoff;
use flow::view;
use flow::wire::{Ending, Failure, Outcome};

/// `a` reads nothing; in `b < a` `b` reads `a`, in `b ~ a` it only comes after it.
fn plan(lines: &[&str]) -> Plan {
    let mut plan = Plan::default();
    for line in lines {
        let mut words = line.split_whitespace();
        let name = words.next().expect("a name").to_owned();
        let mut task = Task { name, kind: "command".to_owned(), ..Task::default() };
        while let (Some(arrow), Some(need)) = (words.next(), words.next()) {
            let task_id = plan.tasks.iter().position(|task| task.name == need).expect("an earlier task");
            task.needs.push(Need { task: task_id, data: arrow == "<" });
        }
        plan.tasks.push(task);
    }
    plan
}

/// A run with its journal and a clock that moves a second per fact.
struct Desk {
    run: Run,
    now: u64,
    journal: Vec<Record>,
}

impl Desk {
    fn open(plan: Plan) -> Self {
        let mut desk = Desk { run: Run::new(Arc::new(plan), "r1"), now: 0, journal: vec![] };
        desk.record(Event::RunCreated).expect("fresh");
        desk.record(Event::RunStarted).expect("fresh");
        desk
    }

    fn record(&mut self, event: Event) -> Result<(), Stale> {
        self.now += 1_000;
        let record = Record { run_id: "r1".to_owned(), seq: self.journal.len() as u64 + 1, at: self.now, event };
        self.run.apply(&record)?;
        self.journal.push(record);
        Ok(())
    }

    /// Acts on everything that is proposed but `Stop`, and answers the names of what was started.
    fn start(&mut self, room: usize) -> Vec<String> {
        let mut started = vec![];
        loop {
            let room = room - self.run.running().len();
            let commands = self.run.next(self.now, room);
            let events: Vec<Event> = commands.iter().filter_map(|command| self.run.recorded(command, "w")).collect();
            if events.is_empty() {
                return started;
            }
            for event in events {
                if let Event::TaskStarted { task, .. } = &event {
                    started.push(task.clone());
                }
                self.record(event).expect("what is proposed follows");
            }
        }
    }

    fn end(&mut self, task: &str, attempt: u32, ending: Ending) -> Result<(), Stale> {
        let event = self.run.reported(task, attempt, ending);
        self.record(event)
    }

    fn succeed(&mut self, task: &str, attempt: u32) {
        self.end(task, attempt, Ending::Succeeded(Outcome::default())).expect("a running attempt");
    }

    fn fail(&mut self, task: &str, attempt: u32) {
        self.end(task, attempt, Ending::Failed(Failure::external("no answer"))).expect("a running attempt");
    }

    fn states(&self) -> Vec<TaskState> {
        (0..self.run.plan().tasks.len()).map(|id| self.run.task(id).state).collect()
    }

    fn error(&self, id: usize) -> String {
        self.run.task(id).error.expect("an error")
    }
}

#[test]
fn tasks_start_in_order_as_room_allows_and_the_run_closes() {
    let mut desk = Desk::open(plan(&["a", "b", "c < a < b", "d ~ c"]));
    assert_eq!(desk.start(1), ["a"]);
    assert_eq!(desk.states(), [TaskState::Running, TaskState::Ready, TaskState::Waiting, TaskState::Waiting]);
    assert_eq!(desk.start(4), ["b"]);
    desk.succeed("a", 1);
    desk.succeed("b", 1);
    assert_eq!(desk.start(4), ["c"]);
    desk.succeed("c", 1);
    assert_eq!(desk.start(4), ["d"]);
    desk.succeed("d", 1);
    assert!(desk.start(4).is_empty());
    assert_eq!((desk.run.state(), desk.run.error()), (RunState::Succeeded, None));
    assert!(desk.run.next(desk.now, 4).is_empty(), "a closed run proposes nothing");
}

#[test]
fn priority_goes_first_then_the_longest_way_then_the_order_of_the_file() {
    let mut plan = plan(&["a", "b", "c", "d < c", "e"]);
    plan.tasks[4].priority = 1;
    assert_eq!(Desk::open(plan).start(4), ["e", "c", "a", "b"]);
}

#[test]
fn durations_of_earlier_runs_decide_which_way_is_longest() {
    let mut desk = Desk::open(plan(&["a", "b"]));
    desk.run = desk.run.with_durations(&[("b".to_owned(), 90_000)].into());
    assert_eq!(desk.start(1), ["b"]);
}

#[test]
fn a_failure_skips_all_that_depends_on_it_and_nothing_else() {
    let mut desk = Desk::open(plan(&["a", "b < a", "c ~ b", "other"]));
    desk.start(4);
    desk.fail("a", 1);
    assert_eq!(desk.states(), [TaskState::Failed, TaskState::Skipped, TaskState::Skipped, TaskState::Running]);
    assert_eq!((desk.error(1).as_str(), desk.error(2).as_str()), ("`a` failed", "`a` failed"));
    desk.succeed("other", 1);
    desk.start(4);
    assert_eq!((desk.run.state(), desk.run.error()), (RunState::Failed, Some("`a` failed")));
}

#[test]
fn a_skip_travels_along_data_and_satisfies_after() {
    let mut plan = plan(&["a", "b < a", "c < b", "d ~ c"]);
    plan.tasks[0].skip = Some("`when` is false".to_owned());
    let mut desk = Desk::open(plan);
    assert_eq!(desk.start(4), ["d"]);
    assert_eq!(desk.states()[..3], [TaskState::Skipped; 3]);
    assert_eq!((desk.error(0).as_str(), desk.error(2).as_str()), ("`when` is false", "`b` was skipped"));
    desk.succeed("d", 1);
    desk.start(4);
    assert_eq!(desk.run.state(), RunState::Succeeded);
}

#[test]
fn after_holds_across_a_skipped_task() {
    let mut desk = Desk::open(plan(&["slow", "said", "between < said ~ slow", "last ~ between"]));
    desk.start(4);
    desk.end("said", 1, Ending::Skipped("exit code 99".to_owned())).expect("running");
    assert!(desk.start(4).is_empty(), "`last` comes after `slow`, though `between` is sure to be skipped");
    desk.succeed("slow", 1);
    assert_eq!(desk.start(4), ["last"]);
}

#[test]
fn attempts_count_all_tries_and_each_waits_its_delay() {
    let mut plan = plan(&["a"]);
    plan.tasks[0].retry =
        Retry { attempts_max: 3, backoff: Backoff::Linear, delay_ms: 5_000, delay_max_ms: 60_000, jitter: false };
    let mut desk = Desk::open(plan);
    for (attempt, delay_ms) in [(1, 5_000), (2, 10_000)] {
        assert_eq!(desk.start(1), ["a"]);
        desk.fail("a", attempt);
        assert_eq!(desk.states(), [TaskState::Retrying]);
        assert_eq!(desk.run.wake(desk.now), Some(desk.now + delay_ms));
        desk.now += delay_ms - 1;
        assert!(desk.start(1).is_empty(), "not before it is due");
        desk.now += 1;
    }
    assert_eq!(desk.start(1), ["a"]);
    desk.fail("a", 3);
    assert_eq!((desk.states(), desk.run.task(0).attempts), (vec![TaskState::Failed], 3));
}

#[test]
fn what_no_retry_can_help_is_not_tried_again() {
    let mut plan = plan(&["a"]);
    plan.tasks[0].retry.attempts_max = 9;
    let mut desk = Desk::open(plan);
    desk.start(1);
    desk.end("a", 1, Ending::Failed(Failure::user("a check failed"))).expect("running");
    assert_eq!(desk.states(), [TaskState::Failed]);
}

#[test]
fn losses_spend_no_tries_but_end_some_day() {
    let mut desk = Desk::open(plan(&["a"]));
    for attempt in 1..=5 {
        assert_eq!(desk.start(1), ["a"]);
        let lost = Event::TaskLost { task: "a".to_owned(), attempt, reason: "no heartbeat".to_owned() };
        desk.record(lost).expect("running");
    }
    assert_eq!((desk.states(), desk.run.task(0).attempts), (vec![TaskState::Failed], 5));
    assert!(desk.error(0).contains("lost 5 times") && desk.error(0).contains("no heartbeat"));
}

#[test]
fn late_and_repeated_reports_are_stale() {
    let mut plan = plan(&["a"]);
    plan.tasks[0].retry = Retry { attempts_max: 2, delay_ms: 0, ..Retry::default() };
    let mut desk = Desk::open(plan);
    desk.start(1);
    desk.fail("a", 1);
    let done = |desk: &mut Desk, attempt| desk.end("a", attempt, Ending::Succeeded(Outcome::default()));
    assert_eq!(done(&mut desk, 1), Err(Stale), "between two attempts");
    assert_eq!(desk.start(1), ["a"]);
    assert_eq!(done(&mut desk, 1), Err(Stale), "of the attempt before");
    assert_eq!(done(&mut desk, 2), Ok(()));
    assert_eq!(done(&mut desk, 2), Err(Stale), "a second time");
    assert_eq!(desk.end("nobody", 1, Ending::Cancelled), Err(Stale), "of a task that is not in the plan");
}

#[test]
fn a_cancel_stops_what_runs_starts_nothing_and_beats_failure() {
    let mut desk = Desk::open(plan(&["a", "b", "c < a"]));
    desk.start(2);
    desk.record(Event::CancelRequested { by: "ann".to_owned() }).expect("running");
    let stops = desk.run.next(desk.now, 4);
    assert_eq!(stops, [Command::Stop { task: 0, attempt: 1 }, Command::Stop { task: 1, attempt: 1 }]);
    desk.end("a", 1, Ending::Cancelled).expect("running");
    desk.fail("b", 1);
    desk.start(4);
    assert_eq!((desk.run.state(), desk.run.error()), (RunState::Cancelled, Some("cancelled by ann")));
    assert_eq!(desk.states(), [TaskState::Cancelled, TaskState::Failed, TaskState::Cancelled]);
}

#[test]
fn a_run_that_stops_on_failure_lets_running_tasks_end_and_skips_the_rest() {
    let mut plan = plan(&["a", "b", "c < b", "d"]);
    plan.stop_on_failure = true;
    let mut desk = Desk::open(plan);
    desk.start(2);
    desk.fail("a", 1);
    assert!(desk.start(4).is_empty());
    desk.succeed("b", 1);
    desk.start(4);
    assert_eq!((desk.run.state(), desk.run.error()), (RunState::Failed, Some("`a` failed")));
    assert_eq!(desk.states(), [TaskState::Failed, TaskState::Succeeded, TaskState::Skipped, TaskState::Skipped]);
    assert_eq!(desk.error(3), "the run ended first: `a` failed");
}

#[test]
fn adopted_work_counts_as_done_without_an_attempt() {
    let mut desk = Desk::open(plan(&["a", "b < a"]));
    let outcome = Box::new(Outcome { rows_out: Some(3), ..Outcome::default() });
    desk.record(Event::TaskSucceeded { task: "a".to_owned(), attempt: 0, outcome }).expect("pending");
    assert_eq!(desk.start(4), ["b"]);
    let a = view::task(&desk.run, 0);
    assert_eq!((a.state, a.attempts, a.rows_out), (TaskState::Succeeded, 0, Some(3)));
    assert_eq!(desk.run.reasons(0)[0].kind, "adopted");
}

#[test]
fn noops_pass_without_a_worker_in_one_attempt() {
    let mut plan = plan(&["a", "b ~ a"]);
    plan.tasks.iter_mut().for_each(|task| task.kind = "noop".to_owned());
    let mut desk = Desk::open(plan);
    assert!(desk.start(0).is_empty());
    assert_eq!(desk.run.state(), RunState::Succeeded);
    let last = view::task(&desk.run, 1);
    assert_eq!((last.attempts, last.started_at.is_some(), last.dataset), (1, true, None));
}

#[test]
fn a_run_whose_process_died_has_no_open_ends() {
    let mut desk = Desk::open(plan(&["a", "b < a"]));
    desk.start(1);
    let error = Some("the process that ran it ended".to_owned());
    desk.record(Event::RunClosed { state: RunState::Failed, error }).expect("running");
    assert_eq!(desk.states(), [TaskState::Failed, TaskState::Skipped]);
    assert_eq!(desk.error(0), "the process that ran it ended");
    assert!(desk.run.task(1).finished_at.is_some());
}

#[test]
fn every_wait_has_a_named_reason() {
    let mut plan = plan(&["a", "b < a", "c < b", "d"]);
    plan.tasks[0].retry = Retry { attempts_max: 2, jitter: false, ..Retry::default() };
    let mut desk = Desk::open(plan);
    desk.start(1);
    let kinds = |desk: &Desk, id| desk.run.reasons(id).iter().map(|reason| reason.kind).collect::<Vec<_>>();
    assert_eq!((kinds(&desk, 0), kinds(&desk, 3)), (vec!["running"], vec!["slot"]));
    desk.fail("a", 1);
    assert_eq!(kinds(&desk, 2), ["waiting", "retry"]);
    let [own, far] = &desk.run.reasons(2)[..] else { panic!("two reasons") };
    assert_eq!((own.message.as_str(), &own.blocking[..]), ("waits for `b`", &["b".to_owned()][..]));
    let due = "`a`: attempt 2 starts at 1970-01-01T00:00:05.000Z after: no answer (1 of 2 tries are spent)";
    assert_eq!(far.message, due);
    let json = serde_json::to_value(own).expect("json");
    assert_eq!(json["since"], "1970-01-01T00:00:02.000Z");
}

#[test]
fn a_huge_chain_and_a_huge_fan_run_through_without_recursion() {
    let noop = |name: String, needs| Task { name, kind: "noop".to_owned(), needs, ..Task::default() };
    let need = |task| Need { task, data: true };
    for fan in [false, true] {
        let tasks = (0..100_000_usize).map(|id| match (id, fan) {
            (0, _) => noop("first".to_owned(), vec![]),
            (99_999, true) => noop("last".to_owned(), (1..id).map(need).collect()),
            (id, true) => noop(format!("t{id}"), vec![need(0)]),
            (id, false) => noop(format!("t{id}"), vec![need(id - 1)]),
        });
        let mut failing = Desk::open(Plan { tasks: tasks.collect(), ..Plan::default() });
        let mut desk = Desk { run: failing.run.clone(), now: 0, journal: vec![] };
        desk.start(0);
        assert_eq!(desk.run.state(), RunState::Succeeded);

        let first = |event| Record { run_id: String::new(), seq: 0, at: 1, event };
        let started = Event::TaskStarted { task: "first".to_owned(), attempt: 1, worker: String::new(), token: 0 };
        failing.run.apply(&first(started)).expect("ready");
        failing.fail("first", 1);
        assert_eq!(failing.run.open(), 0, "the failure reaches the far end");
    }
}

#[test]
fn an_attempt_waits_from_when_it_could_have_started() {
    let mut plan = plan(&["a", "b < a"]);
    plan.tasks[1].retry = Retry { attempts_max: 2, delay_ms: 700, jitter: false, ..Retry::default() };
    let mut desk = Desk::open(plan);
    assert_eq!((desk.run.ready(), desk.run.latest_attempt(0)), (1, None));
    desk.start(1);
    assert_eq!((desk.run.ready(), desk.run.latest_attempt(0)), (0, Some((3_000, 2_000))), "since the run began");
    desk.succeed("a", 1);
    desk.now += 5_000;
    desk.start(1);
    assert_eq!(desk.run.latest_attempt(1), Some((10_000, 4_000)), "since what it needs had ended");
    desk.fail("b", 1);
    desk.now += 5_000;
    desk.start(1);
    assert_eq!(desk.run.latest_attempt(1), Some((17_000, 11_700)), "since its next try was due");
}
