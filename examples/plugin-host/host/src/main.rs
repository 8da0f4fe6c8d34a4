//! Loads all plugins of a folder, and does with them what it reads from its standard input.

mod plugins;

use std::error::Error;
use std::path::Path;

use plugins::{Plugin, Plugins};

const COMMANDS: &str = "list, filter TEXT, run NAME ARGUMENT..., replace FILE, unload NAME";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: plugin-host FOLDER")?;
    let (mut plugins, refused) = Plugins::load_folder(Path::new(&folder))?;
    for (name, error) in refused {
        println!("{name} was refused: {error}");
    }
    for line in std::io::stdin().lines() {
        let line = line?;
        println!("> {line}");
        if let Err(error) = obey(&line, &mut plugins) {
            println!("  error: {error}");
        }
    }
    Ok(())
}

fn obey(line: &str, plugins: &mut Plugins) -> Result<(), Box<dyn Error>> {
    let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
    match command {
        "list" => {
            for (name, plugin) in plugins.iter() {
                let kind = match plugin {
                    Plugin::Filter(_) => "filter",
                    Plugin::Command(_) => "command",
                };
                println!("  {name}: a {kind} that {}", plugin.describe().ok_or("the plugin panicked")?);
            }
        }
        "filter" => println!("  {}", filter(rest, plugins)),
        "run" => {
            let mut words = rest.split_whitespace().map(str::to_owned);
            let name = words.next().unwrap_or_default();
            let Some(Plugin::Command(plugin)) = plugins.get(&name) else {
                return Err(format!("{name} is no command").into());
            };
            let arguments: Vec<String> = words.collect();
            println!("  {}", plugin.exports().run(&arguments).ok_or("the plugin panicked")??);
        }
        "replace" => plugins.replace(Path::new(rest))?,
        "unload" => plugins.unload(rest)?,
        _ => return Err(format!("the commands are {COMMANDS}").into()),
    }
    Ok(())
}

/// Sends a text through all filters. One that panics is left out.
fn filter(text: &str, plugins: &Plugins) -> String {
    let mut text = text.to_owned();
    for (_, plugin) in plugins.iter() {
        if let Plugin::Filter(filter) = plugin
            && let Some(filtered) = filter.exports().apply(&text)
        {
            text = filtered;
        }
    }
    text
}
