//! The numbered lessons: what their pages show is what happens.

use tests::lesson::check;

macro_rules! lessons {
    ($($test:ident: $name:literal,)*) => {
        $(
            #[test]
            fn $test() {
                check($name);
            }
        )*

        #[test]
        fn every_lesson_is_run() {
            let folders = std::fs::read_dir(tests::root().join("examples")).expect("the examples are in the repository");
            let names = folders.map(|entry| entry.expect("a folder can be listed").file_name().into_string());
            let mut found: Vec<_> = names.filter_map(Result::ok).filter(|name| name.starts_with(char::is_numeric)).collect();
            found.sort();
            assert_eq!(found, [$($name),*]);
        }
    };
}

lessons! {
    first_flow: "01-first-flow",
    parameters: "02-parameters",
    checks: "03-checks",
    write_modes: "04-write-modes",
    commands: "05-commands",
    lineage: "06-lineage",
    formats: "07-formats",
    schedules: "08-schedules",
    fleet: "09-fleet",
    api: "10-api",
    operations: "11-operations",
    limits: "12-limits",
    web: "13-web",
    observe: "14-observe",
}
