// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask bench`: our benches, side by side with their peers, as one table and as JSON.

use crate::arguments::BenchArgs;
use crate::cargo::{Cargo, target_directory};
use crate::progress::step;
use anyhow::{Result, ensure};
use comfy_table::{Table, presets};
use serde::Serialize;

/// A package and the features its bench needs.
const BENCHES: [(&str, &[&str]); 2] = [("bootmem-memblock", &[]), ("bootmem-buddy", &["spin"])];

/// What was measured of one subject.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct Figure {
    package: &'static str,
    bench: String,
    /// The size or number it was measured with, if there are several.
    argument: Option<String>,
    subject: String,
    fastest_ns: f64,
    median_ns: f64,
    /// The fastest time in relation to that of our crate.
    ratio: f64,
}

/// Runs the benches and prints what came of them.
pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    let mut figures = Vec::new();
    for (package, features) in BENCHES {
        let cargo = Cargo::new("bench").package(package).features(features).arg("--benches");
        let cargo = args.filter.iter().fold(cargo, |cargo, filter| cargo.last(filter.clone()));
        figures.extend(read(package, &cargo.output()?));
    }
    ensure!(!figures.is_empty(), "no bench has that name");
    relate(&mut figures);
    println!("{}", table(&figures));
    let path = args.json.clone().unwrap_or_else(|| target_directory().join("bench.json"));
    fs_err::write(&path, serde_json::to_string_pretty(&figures)? + "\n")?;
    step("Written", path.display());
    Ok(())
}

/// Reads divan's tree: a level of it is three columns wide, and its leaves have times.
fn read(package: &'static str, text: &str) -> Vec<Figure> {
    let mut path: Vec<String> = Vec::new();
    let mut figures: Vec<Figure> = Vec::new();
    for line in text.lines() {
        let Some((indent, rest)) = line.split_once("├─ ").or_else(|| line.split_once("╰─ ")) else {
            // Below a time may be how many items of a call are done in a second.
            let columns: Vec<_> = line.trim_matches(['│', ' ']).split('│').map(str::trim).collect();
            if let ([fastest, _, median, ..], Some(figure)) = (&columns[..], figures.last_mut())
                && let (Some(fastest_ns), Some(median_ns)) = (nanoseconds_of_item(fastest), nanoseconds_of_item(median))
            {
                (figure.fastest_ns, figure.median_ns) = (fastest_ns, median_ns);
            }
            continue;
        };
        let (head, median) = match rest.split('│').collect::<Vec<_>>()[..] {
            [head, _, median, ..] => (head, median.trim()),
            _ => (rest, ""),
        };
        let mut words = head.split_whitespace();
        path.truncate(indent.chars().count() / 3);
        path.extend(words.next().map(str::to_owned));
        let fastest = words.collect::<Vec<_>>().join(" ");
        if let (Some(fastest_ns), Some(median_ns), [bench, others @ ..]) =
            (nanoseconds(&fastest), nanoseconds(median), &path[..])
        {
            let is_number = |name: &&String| name.parse::<u64>().is_ok();
            let argument = others.iter().find(is_number).cloned();
            // A type by its name, without its parameters.
            let subject = others.iter().find(|name| !is_number(name)).and_then(|name| name.split('<').next());
            figures.push(Figure {
                package,
                bench: bench.clone(),
                argument,
                subject: subject.unwrap_or_default().to_owned(),
                fastest_ns,
                median_ns,
                ratio: 1.0,
            });
        }
    }
    figures
}

fn nanoseconds(text: &str) -> Option<f64> {
    let (number, unit) = text.split_once(' ')?;
    let unit = match unit {
        "ps" => 1e-3,
        "ns" => 1.0,
        "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * unit)
}

fn nanoseconds_of_item(text: &str) -> Option<f64> {
    let (number, unit) = text.split_once(' ')?;
    let per_second = match unit {
        "item/s" => 1.0,
        "Kitem/s" => 1e3,
        "Mitem/s" => 1e6,
        "Gitem/s" => 1e9,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| 1e9 / (number * per_second))
}

/// Relates each figure to that of our crate, which has the same name in all benches.
fn relate(figures: &mut [Figure]) {
    let number = |figure: &Figure| figure.argument.as_ref().and_then(|text| text.parse::<u64>().ok());
    figures.sort_by_key(|figure| (figure.package, figure.bench.clone(), number(figure)));

    let is_ours = |figure: &&Figure| figure.subject.starts_with("Ours");
    let ours: Vec<_> = figures.iter().filter(is_ours).cloned().collect();
    for figure in figures {
        let same = |ours: &&Figure| (&ours.bench, &ours.argument) == (&figure.bench, &figure.argument);
        figure.ratio = ours.iter().find(same).map_or(f64::NAN, |ours| figure.fastest_ns / ours.fastest_ns);
    }
}

fn table(figures: &[Figure]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["bench", "", "subject", "fastest", "median", "times ours"]);
    for figure in figures {
        let argument = figure.argument.clone().unwrap_or_default();
        let (fastest, median) = (words(figure.fastest_ns), words(figure.median_ns));
        table.add_row([
            figure.bench.clone(),
            argument,
            figure.subject.clone(),
            fastest,
            median,
            format!("{:.2}", figure.ratio),
        ]);
    }
    table
}

fn words(nanoseconds: f64) -> String {
    match nanoseconds {
        0.0..1e3 => format!("{nanoseconds:.1} ns"),
        1e3..1e6 => format!("{:.2} µs", nanoseconds / 1e3),
        _ => format!("{:.2} ms", nanoseconds / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_read() {
        let text = "\
Timer precision: 20 ns
regions            fastest       │ slowest       │ median        │ mean          │ samples │ iters
├─ pair                          │               │               │               │         │
│  ├─ Ours<'_>     10 ns         │ 12 ns         │ 11 ns         │ 11 ns         │ 20      │ 20
│  │               200 Mitem/s   │ 10.21 Mitem/s │ 100 Mitem/s   │ 11.56 Mitem/s │         │
│  ╰─ peer         20 ns         │ 22 ns         │ 21 ns         │ 21 ns         │ 20      │ 20
╰─ reserve                       │               │               │               │         │
   ├─ Blaze                      │               │               │               │         │
   │  ╰─ 24        1.5 µs        │ 6.228 µs      │ 2 µs          │ 1.64 µs       │ 20      │ 20
   ╰─ Ours<16384>                │               │               │               │         │
      ╰─ 24        500 ns        │ 1.291 µs      │ 630.7 ns      │ 704.2 ns      │ 20      │ 20
";
        let mut figures = read("p", text);
        relate(&mut figures);
        let found: Vec<_> = figures
            .iter()
            .map(|f| (f.bench.as_str(), f.argument.as_deref(), f.subject.as_str(), f.fastest_ns, f.median_ns, f.ratio))
            .collect();
        assert_eq!(
            found,
            [
                ("pair", None, "Ours", 5.0, 10.0, 1.0),
                ("pair", None, "peer", 20.0, 21.0, 4.0),
                ("reserve", Some("24"), "Blaze", 1500.0, 2000.0, 3.0),
                ("reserve", Some("24"), "Ours", 500.0, 630.7, 1.0),
            ]
        );
    }
}
