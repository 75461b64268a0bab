// SPDX-License-Identifier: MIT OR Apache-2.0
//! `explain`: where the memory of a machine went.
//!
//! [`record`](Record) is what there is to read, [`facts`](Facts) what it says, [`claims`](Claims) who had what at the
//! hand-over; [`model`] is the answer, and what the rest turns into text.

mod advice;
pub(crate) mod amount;
mod claims;
mod compute;
mod facts;
mod found;
mod hash_tables;
mod image;
mod live;
mod lost;
mod map;
pub(crate) mod model;
pub(crate) mod own_boot;
mod palette;
pub(crate) mod picture;
mod predict;
mod proc;
mod query;
mod record;
mod setting;
mod share;
mod smbios;
mod tally;
mod terminal;
mod terms;
mod waterfall;
mod what_if;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod recorded;

use crate::arguments::{ExplainArgs, WhatIf};
use anyhow::{Context as _, Result, bail};
use claims::Claims;
use compute::compute;
use facts::Facts;
use model::Explanation;
use query::Query;
use record::Record;
use setting::Setting;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use tally::Tally;

/// Explains what the arguments name, or this machine, and returns the exit status.
pub(crate) fn run(args: &ExplainArgs) -> Result<u8> {
    let (paths, queries) = split(&args.what)?;
    let records = match &paths[..] {
        [] => vec![Record::live()],
        paths => paths.iter().map(|path| Record::read(path)).collect::<Result<_>>()?,
    };
    if records.len() > 1 && [&args.json, &args.svg, &args.html].iter().any(|file| file.is_some()) {
        bail!("a file can hold the answer for one machine only; name one folder or log");
    }
    let columns = terminal_size::terminal_size().map_or(80, |(width, _)| width.0.into());
    let mut status = 0;
    for record in &records {
        let explanation = explain(record, &args.what_if);
        status |= u8::from(explanation.waterfall.is_empty()) * 2;
        if let Some(file) = &args.json {
            let mut json = serde_json::to_string_pretty(&explanation)?;
            json.push('\n');
            if file != Path::new("-") {
                fs_err::write(file, json)?;
            } else {
                show(args, &json)?;
                continue;
            }
        }
        for (file, picture) in [(&args.svg, picture::svg as fn(&Explanation) -> String), (&args.html, picture::html)] {
            if let Some(file) = file {
                fs_err::write(file, picture(&explanation))?;
            }
        }
        let text = match &queries[..] {
            [] => terminal::text(&explanation, columns),
            queries => queries.iter().map(|query| query.answer(&explanation)).collect(),
        };
        show(args, &text)?;
    }
    Ok(status)
}

/// Tells paths from questions. An address or a known word is a question, `./crashkernel` a path all the same.
fn split(what: &[String]) -> Result<(Vec<PathBuf>, Vec<Query>)> {
    let (mut paths, mut queries) = (Vec::new(), Vec::new());
    for text in what {
        match Query::parse(text) {
            Ok(query) => queries.push(query),
            Err(_) if text == "-" || Path::new(text).exists() => paths.push(PathBuf::from(text)),
            Err(why) => bail!("{why}"),
        }
    }
    Ok((paths, queries))
}

/// Prints a text, with colours if the terminal or the user wants them. Who reads may stop reading.
fn show(args: &ExplainArgs, text: &str) -> Result<()> {
    let mut out = anstream::AutoStream::new(std::io::stdout().lock(), args.color.into());
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.context("writing to standard output"),
    }
}

/// Explains what was recorded of a boot, and what other settings would change.
pub(crate) fn explain(record: &Record, what_if: &WhatIf) -> Explanation {
    let text = crate::dmesg::text(&record.dmesg);
    let facts = Facts::new(record, crate::dmesg::parse(&text));
    let claims = facts.debug().then(|| Claims::replay(&facts));
    let memory = facts.memory_ranges();
    let tally = match &claims {
        Some(claims) => Tally::of_claims(claims, &memory),
        None => Tally::of_lines(&facts, &memory),
    };
    let waterfall = waterfall::waterfall(&facts, claims.as_ref(), &tally);
    let mut sources = found::sources(&facts);

    let setting = Setting::of(&facts, claims.as_ref());
    let computed = setting.as_ref().map_err(Clone::clone).and_then(compute);
    let mut changes = Vec::new();
    if let (Ok(setting), Ok(before), true) = (&setting, &computed, what_if.is_asked()) {
        match compute(&what_if.apply(setting)) {
            Ok(after) => changes = predict::changes(before, &after),
            Err(why) => sources.push(found::not_computed("what if", &why)),
        }
    }
    if let Err(why) = &computed {
        sources.push(found::not_computed("prediction", why));
    }
    let computed = computed.ok();
    let e820 =
        computed.iter().flat_map(|c| c.map.map.iter().map(|e| (e.range, e.kind.to_string()))).collect::<Vec<_>>();
    Explanation {
        title: found::title(&facts),
        summary: found::summary(&facts, &waterfall),
        sources,
        map: map::map(&facts, claims.as_ref(), &e820),
        terms: terms::terms(&facts, Some(&tally)),
        predictions: computed.iter().flat_map(|c| predict::predictions(&facts, claims.as_ref(), c)).collect(),
        what_if: changes,
        advice: advice::advice(&facts, &waterfall, computed.as_ref()),
        waterfall,
    }
}
