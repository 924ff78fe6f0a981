use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::print;

/// Print the JSON Schema of the flow file.
///
/// Most editors complete and explain keys with it: begin a flow with the line `#:schema flow.schema.json`.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl schema > flow.schema.json")]
pub struct Args {}

pub fn run(_args: &Args, _cx: &Context) -> Result<Exit, Error> {
    print::json(&flow::schema::json_schema())?;
    Ok(Exit::Done)
}
