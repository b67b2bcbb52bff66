//! `INPUT` is what `print` is asked for; `EXPECTED` the exit code and the lines, with the data of each record named as in
//! `tests/data/tlsa.txt`, where OpenSSL's word is.

use crate::{
    cases::Case,
    world::{Program, World},
};
use std::{fs, path::Path};

pub fn play(program: &Program, case: &Case) -> String {
    let world = World::new(program, case.dialect);
    for kind in ["ecdsa", "rsa"] {
        lineage(&world, kind);
    }
    world.write("copy.pem", &world.read("le/live/rsa.example/fullchain.pem"));
    world.configure(
        "api = {api}\n[ecdsa.example]\ntlsa = 311 25\ntlsa = 311 465\ntlsa = 202 25\n[rsa.example]\ntlsa = 302 25\n",
    );
    let words: Vec<&str> =
        ["print", "-c", "{conf}", "-C", "{dir}/le"].into_iter().chain(case.input.split_whitespace()).collect();
    let ended = world.run(&words, None);
    // Alnitak takes the first of two files that the folder lists, which is a matter of luck.
    let either = |path: &str, usage: &str| match program {
        Program::Ours => path.to_owned(),
        Program::Alnitak { .. } if path.contains("/rsa.example/fullchain1.pem") && usage == "2" => path.to_owned(),
        Program::Alnitak { .. } => path.replace("/fullchain", if usage == "2" { "/chain" } else { "/cert" }),
    };
    let known = fs::read_to_string(data("tlsa.txt")).unwrap();
    let known: Vec<Vec<&str>> = known.lines().map(|line| line.split(' ').collect()).collect();
    let told = |line: &str| {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        if let [_, usage, selector, matching, hash, path] = &mut words[..] {
            *path = either(path, usage);
            let of =
                |row: &&Vec<&str>| row[1..] == [usage.as_str(), selector.as_str(), matching.as_str(), hash.as_str()];
            *hash = known.iter().find(of).map_or("unknown".into(), |row| format!("<{}>", row[0]));
        }
        words.join(" ")
    };
    let lines: Vec<String> = ended.out.lines().map(told).collect();
    format!("{} {}", ended.code, lines.join(", ")).replace(&world.filled("{dir}"), "{dir}").trim_end().into()
}

fn data(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// A lineage of one generation with a certificate that is the same each time.
fn lineage(world: &World, kind: &str) {
    let fullchain = fs::read_to_string(data(&format!("{kind}-fullchain.pem"))).unwrap();
    let end = fullchain.find("-----END CERTIFICATE-----\n").unwrap() + "-----END CERTIFICATE-----\n".len();
    let (cert, chain) = fullchain.split_at(end);
    let key = fs::read_to_string(data(&format!("{kind}.key"))).unwrap();
    let name = format!("{kind}.example");
    for folder in ["le/archive", "le/live"] {
        fs::create_dir_all(world.path(folder).join(&name)).unwrap();
    }
    for (file, text) in [("cert", cert), ("chain", chain), ("fullchain", &fullchain), ("privkey", &key)] {
        world.write(&format!("le/archive/{name}/{file}1.pem"), text);
        let link = world.path(&format!("le/live/{name}/{file}.pem"));
        std::os::unix::fs::symlink(format!("../../archive/{name}/{file}1.pem"), link).unwrap();
    }
}
