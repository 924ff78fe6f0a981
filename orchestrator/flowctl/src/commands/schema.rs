use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::print;

/// Print the JSON Schema of the flow file, or the description of the HTTP interface.
///
/// Most editors complete and explain keys with it: begin a flow with the line `#:schema flow.schema.json`.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flowctl schema > flow.schema.json\n  flowctl schema --api > openapi.json")]
pub struct Args {
    /// Print how a server is talked to: OpenAPI 3.1.
    #[arg(long)]
    api: bool,
}

pub fn run(args: &Args, _cx: &Context) -> Result<Exit, Error> {
    print::json(&if args.api { server::document() } else { flow::schema::json_schema() })?;
    Ok(Exit::Done)
}
