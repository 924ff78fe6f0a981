//! Colours. They reach a terminal only: everything is written through `anstream`, which honours `NO_COLOR`.

use clap::builder::styling::{AnsiColor, Effects, Style};

pub const BAD: Style = AnsiColor::BrightRed.on_default().effects(Effects::BOLD);
pub const WARN: Style = AnsiColor::Yellow.on_default();
pub const GOOD: Style = AnsiColor::Green.on_default();
pub const BUSY: Style = AnsiColor::Cyan.on_default();
pub const HELP: Style = AnsiColor::BrightCyan.on_default();
pub const DIM: Style = Style::new().effects(Effects::DIMMED);
pub const BOLD: Style = Style::new().effects(Effects::BOLD);
