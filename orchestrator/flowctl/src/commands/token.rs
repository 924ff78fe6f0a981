use clap::{Subcommand, ValueEnum};
use flow::Time;
use flow::view::rfc3339;
use serde_json::{Value, json};
use store::{Scope, Token, Tokens};

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::print::table::{Cell, Table};
use crate::print::{self, human, style, time};

/// Say who may use the service: make, list and revoke tokens.
///
/// They are kept in the store, without their secrets. Once there has been one, every request to a service on this store
/// must show one that is in force, also on this machine. What is made or revoked counts within seconds.
#[derive(clap::Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "Example:\n  flowctl token create fleet --scope work --expires 90d > token\n  flowctl token revoke fleet"
)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a token, and show it this one time.
    Create(Create),
    /// List all tokens, also those that are over.
    List,
    /// End a token for good.
    Revoke {
        /// Its name or its id.
        token: String,
    },
}

#[derive(clap::Args)]
struct Create {
    /// What it is called: unique among the tokens that are not revoked.
    name: String,
    /// What it may be used for; may be given many times.
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',')]
    scopes: Vec<Wanted>,
    /// When it ends by itself, such as `90d`. Default: never.
    #[arg(long, value_name = "TIME", value_parser = flow::duration::parse)]
    expires: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Wanted {
    /// Look at everything.
    Read,
    /// Look, and start, cancel, retry, pause.
    Run,
    /// What a worker does, and nothing else.
    Work,
    /// Everything.
    Admin,
}

impl From<Wanted> for Scope {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Read => Scope::Read,
            Wanted::Run => Scope::Run,
            Wanted::Work => Scope::Work,
            Wanted::Admin => Scope::Admin,
        }
    }
}

pub fn run(args: &Args, cx: &Context) -> Result<Exit, Error> {
    cx.block_on(async {
        match &args.verb {
            Verb::Create(create) => make(create, cx).await,
            Verb::List => list(cx).await,
            Verb::Revoke { token } => revoke(token, cx).await,
        }
    })?;
    Ok(Exit::Done)
}

async fn make(create: &Create, cx: &Context) -> Result<(), Error> {
    let mut scopes: Vec<Scope> = create.scopes.iter().copied().map(Scope::from).collect();
    scopes.sort();
    scopes.dedup();
    let (token, text) = cx.store().await?.create_token(&create.name, &scopes, create.expires).await?;
    if cx.json() {
        let mut view = view(&token, token.created_at);
        view["token"] = text.into();
        return print::json(&view);
    }
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{text}")?;
    let (scopes, end) = (words(&token), token.expires_at.map(|end| format!(", until {}", time::local(end))));
    print::note(&format!("{scopes}{}; this is the only time that it is shown", end.unwrap_or_default()));
    Ok(())
}

async fn list(cx: &Context) -> Result<(), Error> {
    let store = cx.store_if_any().await?;
    let Tokens { all, now } = match &store {
        Some(store) => store.tokens().await?,
        None => Tokens::default(),
    };
    if cx.json() {
        return print::json(&all.iter().map(|token| view(token, now)).collect::<Vec<_>>());
    }
    if all.is_empty() {
        print::note("no token was ever made: a service on this store asks for none");
        return Ok(());
    }
    let mut table = Table::new(["NAME", "ID", "SCOPES", "STATE", "CREATED", "EXPIRES"]);
    for token in &all {
        let state = state(token, now);
        let style = if state == "live" { style::GOOD } else { style::DIM };
        table.row([
            token.name.as_str().into(),
            token.id.as_str().into(),
            words(token).into(),
            Cell::styled(state, style),
            human::ago(token.created_at, now).into(),
            token.expires_at.map(time::local).unwrap_or_default().into(),
        ]);
    }
    Ok(table.write(&mut anstream::stdout().lock(), "")?)
}

async fn revoke(reference: &str, cx: &Context) -> Result<(), Error> {
    let token = cx.store_with_runs().await?.revoke_token(reference).await?;
    if cx.json() {
        return print::json(&view(&token, time::now()));
    }
    print::note(&format!("token {} ({}) opens nothing any more", token.name, token.id));
    Ok(())
}

fn view(token: &Token, now: Time) -> Value {
    json!({
        "id": token.id, "name": token.name, "scopes": token.scopes, "state": state(token, now),
        "created_at": rfc3339(token.created_at), "expires_at": token.expires_at.map(rfc3339),
        "revoked_at": token.revoked_at.map(rfc3339),
    })
}

fn state(token: &Token, now: Time) -> &'static str {
    match token.revoked_at {
        Some(_) => "revoked",
        None if token.is_live(now) => "live",
        None => "expired",
    }
}

fn words(token: &Token) -> String {
    token.scopes.iter().map(Scope::to_string).collect::<Vec<_>>().join(", ")
}
