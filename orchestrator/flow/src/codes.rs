//! The catalogue of diagnostic codes. A code never changes its meaning and is never used again for another.
//!
//! `E1` the file, `E2` names, `E3` parameters, `E4` tasks and their order, `E5` SQL and types,
//! `E6` checks, contracts and outputs, `E7` sources, `W` warnings (second digit as above).

/// A code with everything there is to say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Such as `E503`.
    pub code: &'static str,
    /// What the code stands for, as a lowercase fragment.
    pub title: &'static str,
    /// Its page in Markdown: what it means, a flow that it is told about, what to do.
    pub page: &'static str,
}

macro_rules! codes {
    ($($name:ident = $code:literal $title:literal;)*) => {
        $(#[doc = $title] pub const $name: &str = $code;)*

        /// Every code, in order.
        pub const ALL: &[Code] = &[
            $(Code { code: $code, title: $title, page: include_str!(concat!("codes/", $code, ".md")) }),*
        ];
    };
}

codes! {
    TOML_SYNTAX = "E101" "the file is not valid TOML";
    UNKNOWN_KEY = "E102" "a key that does not exist";
    WRONG_TYPE = "E103" "a value of the wrong type";
    MISSING_KEY = "E104" "a required key is missing";
    UNKNOWN_WORD = "E105" "a word that is not among those allowed";
    DUPLICATE_KEY = "E106" "a key is given twice";
    BAD_DURATION = "E107" "a duration that cannot be read";
    OUT_OF_RANGE = "E108" "a number outside its range";
    NOT_TEXT = "E109" "the file is not UTF-8 text";
    BAD_CRON = "E110" "a cron expression that cannot be read";
    UNKNOWN_TIMEZONE = "E111" "a time zone that does not exist";
    BAD_TIME = "E112" "a time that cannot be read or used";

    BAD_NAME = "E201" "a name that breaks the rules";
    RESERVED_NAME = "E202" "a name that is reserved";
    NAME_TWICE = "E203" "two tasks or sources of one name";
    SAME_VARIABLE = "E204" "two names become the same environment variable";
    FLOW_NAME_TWICE = "E205" "two flows of one name in a project";
    NO_TASKS = "E206" "a flow without tasks";

    PARAM_TYPE = "E301" "a parameter without exactly one valid type";
    PARAM_DEFAULT = "E302" "a default that its parameter does not allow";
    BAD_PATTERN = "E303" "a pattern that cannot be used";
    BAD_ENUM = "E304" "an enum with no choices or with one twice";
    UNKNOWN_PLACEHOLDER = "E305" "a placeholder that names no parameter";
    BAD_PLACEHOLDER = "E306" "braces that do not form a placeholder";
    UNDECLARED_PARAM = "E307" "SQL uses a parameter that is not declared";

    NO_KIND = "E401" "a task without a kind";
    TWO_KINDS = "E402" "a task with two kinds";
    UNKNOWN_KIND = "E403" "a kind that does not exist";
    FOREIGN_KEY = "E404" "a key that does not belong to the task's kind";
    UNKNOWN_TASK = "E405" "a task or source that does not exist";
    CYCLE = "E406" "tasks that wait for each other";
    EMPTY_COMMAND = "E407" "a command without a program";
    SQL_FILE_MISSING = "E408" "an SQL file that cannot be read";
    NO_DATASET = "E409" "a task that makes no dataset";
    ARTIFACT_PATH = "E410" "an artifact outside the task's folder";
    UNKNOWN_POOL = "E411" "a pool that is not declared";

    SQL_SYNTAX = "E501" "text that is not SQL";
    UNKNOWN_TABLE = "E502" "a table that does not exist";
    UNKNOWN_COLUMN = "E503" "a column that does not exist";
    AMBIGUOUS_COLUMN = "E504" "a column name that several tables have";
    TYPE_MISMATCH = "E505" "types that do not fit together";
    UNKNOWN_FUNCTION = "E506" "a function that does not exist";
    NOT_A_QUERY = "E507" "SQL that is not one single query";
    NULL_COLUMN = "E508" "a column that can only be NULL";
    UNSUPPORTED_TYPE = "E509" "a column whose type cannot be published";
    DUPLICATE_COLUMN = "E510" "two output columns of one name";
    BAD_GROUPING = "E511" "a column that is neither grouped nor aggregated";
    SQL_NOT_PLANNED = "E512" "SQL that cannot be planned";
    UNKNOWN_TYPE = "E513" "a type that does not exist";
    NOT_BOOLEAN = "E514" "a condition that is not true or false";

    CHECK_SHAPE = "E601" "a check without exactly one assertion";
    CHECK_BOUNDS = "E602" "bounds that are missing or contradict each other";
    EMPTY_LIST = "E603" "a list that must not be empty";
    CHECK_REFERENCE = "E604" "a reference that is not `dataset.column`";
    CHECK_COLUMN = "E605" "a check on a column that does not exist";
    CHECK_TYPE = "E606" "a check that does not fit the column's type";
    CONTRACT_COLUMN = "E607" "a column that the contract promises is missing";
    CONTRACT_TYPE = "E608" "a column has another type than the contract promises";
    CONTRACT_EXTRA = "E609" "a column that a strict contract does not list";
    MERGE_KEYS = "E610" "a merge without keys";
    REPLACE_WHERE = "E611" "a replace_where that does not say which rows";
    OUTPUT_KEY = "E612" "an output key that does not fit the others";
    OUTPUT_COLUMN = "E613" "a key or partition column that does not exist";
    ALL_PARTITIONED = "E614" "a table of nothing but partition columns";
    REPEATED = "E615" "an item listed twice";
    COMMAND_SCHEMA = "E616" "a command's dataset without format or columns";

    SOURCE_MISSING = "E701" "a source without files";
    SOURCE_UNREADABLE = "E702" "a source that cannot be read";
    SOURCE_COLUMN = "E703" "a column that the source does not have";
    SOURCE_EXTRA = "E704" "a column that a strict source does not list";
    SOURCE_FORMAT = "E705" "a source whose format is not known";
    SOURCE_OPTION = "E706" "a source option that does not fit";
    SOURCE_TYPE = "E707" "a source's data contradicts its declared type";

    UNFILLED_PARAM = "W301" "a parameter that a schedule cannot fill";
}

/// The entry of `code`, in any case.
pub fn find(code: &str) -> Option<&'static Code> {
    ALL.iter().find(|entry| entry.code.eq_ignore_ascii_case(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{check, graph, spec};

    /// The codes that the flow file alone gives rise to.
    fn is_told_without_data(code: &str) -> bool {
        let elsewhere = [NOT_TEXT, FLOW_NAME_TWICE, UNDECLARED_PARAM, SQL_FILE_MISSING, ALL_PARTITIONED, UNKNOWN_POOL];
        let by_engine = code.starts_with("E5") && code != UNKNOWN_TYPE;
        let by_columns = (CHECK_COLUMN..=CONTRACT_EXTRA).contains(&code) || code == OUTPUT_COLUMN;
        let by_files = (SOURCE_MISSING..=SOURCE_EXTRA).contains(&code) || code == SOURCE_TYPE;
        !(elsewhere.contains(&code) || by_engine || by_columns || by_files)
    }

    fn told(text: &str) -> Vec<&'static str> {
        let (flow, mut diagnostics) = spec::parse(text);
        if let Some(flow) = flow {
            diagnostics.extend(check::check(&flow, &["sql", "command", "noop"]));
            let (tasks, edges) = graph::declared(&flow);
            diagnostics.extend(graph::order(&tasks, &edges).err().into_iter().flatten());
        }
        diagnostics.into_iter().map(|diagnostic| diagnostic.code).collect()
    }

    #[test]
    fn every_page_begins_with_its_code_and_shows_a_flow_that_it_is_told_about() {
        for Code { code, title, page } in ALL {
            assert!(page.starts_with(&format!("# {code}: {title}\n\n")), "{code} has another heading");
            if *code == NOT_TEXT {
                continue;
            }
            let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("\n```").next());
            let expected = if is_told_without_data(code) { vec![*code] } else { vec![] };
            if *code != FLOW_NAME_TWICE {
                assert_eq!(told(example.unwrap_or_default()), expected, "{code}");
            }
        }
    }

    #[test]
    fn codes_are_in_order_and_found_in_any_case() {
        assert!(ALL.is_sorted_by(|a, b| a.code < b.code));
        assert_eq!(find("e503").map(|code| code.code), Some(UNKNOWN_COLUMN));
        assert_eq!(find("E999"), None);
    }
}
