use std::fs;

use flow::wire::{Ending, Whose};

use crate::world::{World, failure, run_id};

#[tokio::test]
async fn declared_files_are_kept_with_the_run() {
    let world =
        World::shell("cd $FLOWCTL_OUTPUT_DIR; mkdir sub; echo page > r.html; echo 1 > sub/n.csv; echo no > extra")
            .artifact("report", "r.html")
            .artifact("numbers", "./sub/n.csv")
            .artifact("again", "r.html");
    let Ending::Succeeded(outcome) = world.run().await else { panic!() };
    let kept = world.path("artifacts").join(run_id()).join("work");
    let read = |name: &str| fs::read_to_string(&outcome.artifacts[name]).unwrap();
    assert_eq!((read("report"), read("numbers"), read("again")), ("page\n".into(), "1\n".into(), "page\n".into()));
    assert_eq!(outcome.artifacts["numbers"], kept.join("sub/n.csv").to_str().unwrap());
    assert!(!kept.join("extra").exists(), "only what is declared is kept");
    assert!(world.scratch_is_empty());
}

#[tokio::test]
async fn a_missing_file_fails_and_the_others_are_named() {
    let world = World::shell("cd $FLOWCTL_OUTPUT_DIR; mkdir sub; touch a.txt sub/b.txt").artifact("report", "r.html");
    let failure = failure(world.run().await);
    let said = "artifact `report` is missing: the command left no file r.html in FLOWCTL_OUTPUT_DIR, which holds a.txt, sub/b.txt";
    assert_eq!((failure.whose, failure.message.as_str()), (Whose::User, said));
    assert!(!world.path("artifacts").join(run_id()).join("work").exists());
}

#[tokio::test]
async fn nothing_is_kept_of_a_command_that_fails() {
    let world = World::shell("touch $FLOWCTL_OUTPUT_DIR/r; exit 1").artifact("report", "r");
    failure(world.run().await);
    assert!(!world.path("artifacts").exists());
    assert!(world.scratch_is_empty());
}

#[tokio::test]
async fn names_that_lead_out_are_refused_before_anything_runs() {
    for path in ["../r", "a/../../r", "/etc/hostname", "", ".", "r/"] {
        let world = World::shell("touch ran").artifact("report", path);
        let failure = failure(world.run().await);
        assert!(failure.message.contains("names no file in FLOWCTL_OUTPUT_DIR"), "{path}: {}", failure.message);
        assert!(!world.plan.dir.join("ran").exists(), "{path}");
    }
}

#[tokio::test]
async fn links_that_lead_out_and_folders_are_refused() {
    for (script, said) in [
        ("ln -s /etc/hostname r", "leads out"),
        ("ln -s .. up; mv up r; rm -f r; ln -s ../../secret r; echo s > ../../secret", "leads out"),
        ("mkdir r", "not a plain file"),
        ("mkfifo r", "not a plain file"),
        ("ln -s nowhere r", "is missing"),
    ] {
        let world = World::shell(&format!("cd $FLOWCTL_OUTPUT_DIR; {script}")).artifact("report", "r");
        let failure = failure(world.run().await);
        assert!(failure.message.contains(said), "{script}: {}", failure.message);
    }
}

#[tokio::test]
async fn a_link_inside_is_kept_as_the_file_it_means() {
    let world = World::shell("cd $FLOWCTL_OUTPUT_DIR; echo v2 > v2; ln -s v2 latest").artifact("latest", "latest");
    let Ending::Succeeded(outcome) = world.run().await else { panic!() };
    assert!(!fs::symlink_metadata(&outcome.artifacts["latest"]).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&outcome.artifacts["latest"]).unwrap(), "v2\n");
}

#[tokio::test]
async fn a_later_attempt_replaces_what_an_earlier_one_kept() {
    let script = "echo $FLOWCTL_ATTEMPT > $FLOWCTL_OUTPUT_DIR/n";
    let mut world = World::shell(script).artifact("n", "n");
    world.run().await;
    world.attempt = 2;
    let Ending::Succeeded(outcome) = world.run().await else { panic!() };
    assert_eq!(fs::read_to_string(&outcome.artifacts["n"]).unwrap(), "2\n");
    assert_eq!(fs::read_dir(world.path("artifacts").join(run_id())).unwrap().count(), 1);
}
