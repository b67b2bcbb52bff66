//! The log: Alnitak's three switches, a file or the journal, and an exit code that tells when nothing could be written.
//!
//! Who gets what (`-l FILE` is the default):
//!
//! | | log file | standard output | standard error |
//! |---|---|---|---|
//! | `-l FILE` | all | | errors |
//! | `-l FILE -q` | all | | |
//! | `-l -` | | all but errors | errors |
//! | `-l no` | | | errors |
//! | `-l - -q`, `-l no -q` | | | |
//!
//! `-L no` leaves only the errors of "all". Under systemd the journal, which reads standard error, is the default log.

mod style;

use crate::config::{Defaults, LogFormat, LogLevel};
use nix::fcntl::OFlag;
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use style::{Reader, Style};
use tracing::{Dispatch, Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, Targets, filter_fn},
    fmt::MakeWriter,
    layer::SubscriberExt,
    registry::{LookupSpan, Registry},
};

/// Added to the exit code when the log could not be written.
const FAILED: u8 = 16;

/// A stream that lines go to.
pub type Stream = Box<dyn Write + Send>;

/// Where the log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this file.
    File(PathBuf),
    /// Standard error is the journal.
    Journal,
    /// Standard output, errors on standard error.
    Stdout,
    /// Nowhere; errors on standard error.
    Nowhere,
}

impl Place {
    /// From the command line, else the configuration, else what there is: `journal` tells whether standard error is systemd's
    /// journal. In Alnitak's place (`alnitak`) the log is a file in any case, as scripts expect it.
    pub fn choose(command_line: Option<&Path>, configured: Option<&Path>, journal: bool, alnitak: bool) -> Place {
        let default = Path::new(Defaults::of(alnitak).log);
        match command_line.or(configured) {
            None if journal && !alnitak => Place::Journal,
            None => Place::File(default.into()),
            Some(path) if path == "-" || path == "stdout" => Place::Stdout,
            Some(path) if path == "no" => Place::Nowhere,
            Some(path) if path.is_dir() => Place::File(path.join(default.file_name().unwrap_or_default())),
            Some(path) => Place::File(path.into()),
        }
    }
}

/// Is standard error the journal's? `journal_stream` is the variable `JOURNAL_STREAM`, which children inherit even when
/// their standard error goes elsewhere; so it is compared with the stream (systemd.exec(5)).
pub fn is_journal(journal_stream: Option<&str>) -> bool {
    let Ok(stat) = nix::sys::stat::fstat(io::stderr()) else { return false };
    journal_stream.is_some_and(|stream| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// The log of a run.
pub struct Log {
    /// What takes the events.
    pub dispatch: Dispatch,
    health: Arc<Health>,
}

impl Log {
    /// Could the log not be written, at some moment until now?
    pub fn failed(&self) -> bool {
        self.health.failed.load(Ordering::Relaxed)
    }

    /// The exit code of a run that would end with `code`.
    pub fn exit_code(&self, code: u8) -> u8 {
        if self.failed() { code.saturating_add(FAILED) } else { code }
    }
}

/// Opens the log. A file that cannot be opened stops nothing: it is told on `stderr`, and [`Log::failed`] knows.
///
/// With [`LogFormat::Json`] the log is a JSON object a line; what is told on a terminal beside a log stays in words.
pub fn open(place: &Place, (level, format): (LogLevel, LogFormat), quiet: bool, stdout: Stream, stderr: Stream) -> Log {
    let stderr = Arc::new(Mutex::new(stderr));
    let health = Arc::new(Health { failed: AtomicBool::new(false), stderr: stderr.clone() });
    let sink = |stream: &Arc<Mutex<Stream>>, name: &str| Sink {
        stream: stream.clone(),
        name: name.into(),
        health: health.clone(),
        log: !name.is_empty(),
    };
    let mut file = None;
    let (mut to_stdout, mut to_stderr) = (false, !quiet);
    match place {
        Place::File(path) => match open_file(path) {
            Ok((path, stream)) => file = Some(sink(&Arc::new(Mutex::new(stream)), &path.display().to_string())),
            Err(error) => health.fail(&path.display().to_string(), &error),
        },
        Place::Journal => to_stderr = true,
        Place::Stdout => to_stdout = !quiet,
        Place::Nowhere => {}
    }
    let journal = *place == Place::Journal;
    let (reader, log) = match journal {
        true => (Reader::Journal, format),
        false => (Reader::Terminal, if to_stdout { format } else { LogFormat::Text }),
    };
    let any: Admits = |_| true;
    let errors: Admits = |level| *level == Level::ERROR;
    let others: Admits = |level| *level != Level::ERROR;
    let out = to_stdout.then(|| sink(&Arc::new(Mutex::new(stdout)), "standard output"));
    let err = to_stderr.then(|| sink(&stderr, if journal { "the journal" } else { "" }));
    let subscriber = Registry::default()
        .with(file.map(|sink| layer(sink, Style { reader: Reader::File, format }, level, any)))
        .with(out.map(|sink| layer(sink, Style { reader: Reader::Terminal, format }, level, others)))
        .with(err.map(|sink| layer(sink, Style { reader, format: log }, level, if journal { any } else { errors })));
    Log { dispatch: Dispatch::new(subscriber), health }
}

/// Opens a log file to append to. Without waiting, for a named pipe would wait for its reader.
fn open_file(path: &Path) -> io::Result<(PathBuf, Stream)> {
    let mut options = fs::OpenOptions::new();
    options.append(true).create(true).mode(0o640).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
    Ok((path.to_owned(), Box::new(options.open(path)?)))
}

type Admits = fn(&Level) -> bool;

fn layer<S>(sink: Sink, style: Style, level: LogLevel, admits: Admits) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let by_level = filter_fn(move |metadata| admits(metadata.level()));
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).log_internal_errors(false).event_format(style);
    lines.with_writer(sink).with_filter(targets(level).and(by_level))
}

/// How much of whose events. The libraries, hickory above all, tell little that an operator can use.
fn targets(level: LogLevel) -> Targets {
    let (ours, others) = match level {
        LogLevel::No => (LevelFilter::ERROR, LevelFilter::OFF),
        LogLevel::Normal => (LevelFilter::INFO, LevelFilter::OFF),
        LogLevel::Verbose => (LevelFilter::DEBUG, LevelFilter::OFF),
        LogLevel::Debug => (LevelFilter::TRACE, LevelFilter::DEBUG),
    };
    Targets::new().with_default(others).with_target("daneroll", ours)
}

/// What was wrong with the log until now.
struct Health {
    failed: AtomicBool,
    stderr: Arc<Mutex<Stream>>,
}

impl Health {
    /// Tells the first failure, and remembers that there was one.
    fn fail(&self, name: &str, error: &io::Error) {
        if !self.failed.swap(true, Ordering::Relaxed) {
            let mut stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody is left to tell if this fails too.
            let _ = writeln!(stderr, "error: the log {name} cannot be written: {}", error);
        }
    }
}

/// A stream that never fails for those who write to it.
struct Sink {
    stream: Arc<Mutex<Stream>>,
    name: String,
    health: Arc<Health>,
    /// Is it the log, so that a failure counts?
    log: bool,
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = &'a Sink;
    fn make_writer(&'a self) -> &'a Sink {
        self
    }
}

impl Write for &Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = {
            let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
            stream.write_all(line).and_then(|()| stream.flush())
        };
        match written {
            // A reader that has seen enough, as in `daneroll -l- | head`, is no failure.
            Err(error) if self.log && error.kind() != io::ErrorKind::BrokenPipe => self.health.fail(&self.name, &error),
            _ => {}
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::{debug, dispatcher::with_default, error, info, trace, warn};

    /// A stream to look at, or one that fails.
    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>, Option<io::ErrorKind>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.1 {
                Some(kind) => Err(kind.into()),
                None => self.0.lock().unwrap().write(bytes),
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Paper {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    /// Which of the letters e, w, i, d, t and h (a library's) are in a text.
    fn letters(text: &str) -> String {
        let found = ["E!", "W!", "I!", "D!", "T!", "H!"].iter().filter(|mark| text.contains(*mark));
        found.map(|mark| mark[..1].to_lowercase()).collect()
    }

    fn events() {
        error!("E!");
        warn!("W!");
        info!("I!");
        debug!("D!");
        trace!("T!");
        warn!(target: "hickory_proto", "H!");
    }

    /// What the log file, standard output and standard error got.
    fn told(place: &Place, level: LogLevel, quiet: bool) -> [String; 3] {
        let (out, err) = (Paper::default(), Paper::default());
        let log = open(place, (level, LogFormat::Text), quiet, Box::new(out.clone()), Box::new(err.clone()));
        with_default(&log.dispatch, events);
        assert_eq!((log.failed(), log.exit_code(3)), (false, 3));
        let file = match place {
            Place::File(path) => fs::read_to_string(path).unwrap(),
            _ => String::new(),
        };
        [file, out.text(), err.text()].map(|text| letters(&text))
    }

    #[test]
    fn who_gets_what() {
        use LogLevel::{Debug, No, Normal, Verbose};
        let file = "FILE";
        for (log, quiet, level, in_file, on_stdout, on_stderr) in [
            (file, false, Normal, "ewi", "", "e"),
            (file, true, Normal, "ewi", "", ""),
            (file, false, No, "e", "", "e"),
            (file, true, No, "e", "", ""),
            ("-", false, Normal, "", "wi", "e"),
            ("-", true, Normal, "", "", ""),
            ("-", false, No, "", "", "e"),
            ("-", true, No, "", "", ""),
            ("no", false, Normal, "", "", "e"),
            ("no", true, Normal, "", "", ""),
            ("no", false, No, "", "", "e"),
            ("no", true, No, "", "", ""),
            // And the two levels above.
            (file, false, Verbose, "ewid", "", "e"),
            ("-", false, Debug, "", "width", "e"),
            ("JOURNAL", false, Normal, "", "", "ewi"),
            ("JOURNAL", true, Normal, "", "", "ewi"),
            ("JOURNAL", false, No, "", "", "e"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log");
            let place = match log {
                "JOURNAL" => Place::choose(None, None, true, false),
                "FILE" => Place::choose(Some(&path), None, true, false),
                word => Place::choose(Some(Path::new(word)), Some(&path), false, false),
            };
            let sorted = |text: &str| ["e", "w", "i", "d", "t", "h"].into_iter().filter(|c| text.contains(c)).collect();
            let expected: [String; 3] = [in_file, on_stdout, on_stderr].map(sorted);
            assert_eq!(told(&place, level, quiet), expected, "-l {log} quiet {quiet} {level:?}");
        }
    }

    #[test]
    fn places() {
        let file = |path: &str| Place::File(path.into());
        for (alnitak, command_line, configured, journal, place) in [
            (false, None, None, false, file("/var/log/daneroll.log")),
            (false, None, None, true, Place::Journal),
            (false, None, Some("/a"), true, file("/a")),
            (false, Some("/b"), Some("/a"), true, file("/b")),
            (false, Some("-"), Some("/a"), true, Place::Stdout),
            (false, Some("stdout"), Some("/a"), true, Place::Stdout),
            (false, None, Some("no"), true, Place::Nowhere),
            (false, Some("/"), None, true, file("/daneroll.log")),
            (true, None, None, true, file("/var/log/alnitak.log")),
            (true, Some("/"), None, true, file("/alnitak.log")),
        ] {
            let found = Place::choose(command_line.map(Path::new), configured.map(Path::new), journal, alnitak);
            assert_eq!(found, place, "{command_line:?} {configured:?}");
        }
        assert!(!is_journal(None) && !is_journal(Some("0:0")) && !is_journal(Some("")));
        let stderr = nix::sys::stat::fstat(io::stderr()).unwrap();
        assert!(is_journal(Some(&format!("{}:{}", stderr.st_dev, stderr.st_ino))));
    }

    #[test]
    fn lines() {
        let dir = tempfile::tempdir().unwrap();
        for (place, expected) in [
            (Place::Stdout, "two\n  lines\\x1b[31m lineage=\"a.example\" n=3\nwarning: odd\n"),
            (Place::File(dir.path().join("log")), " INFO two\\nlines\\x1b[31m lineage=\"a.example\" n=3\n"),
            (Place::Journal, "<6>two\\nlines\\x1b[31m lineage=\"a.example\" n=3\n<4>odd\n"),
        ] {
            let (out, err) = (Paper::default(), Paper::default());
            let log =
                open(&place, (LogLevel::Normal, LogFormat::Text), false, Box::new(out.clone()), Box::new(err.clone()));
            with_default(&log.dispatch, || {
                info!(lineage = "a.example", n = 3, "two\nlines\u{1b}[31m");
                warn!("odd");
            });
            let file = fs::read_to_string(dir.path().join("log")).unwrap_or_default();
            let found = out.text() + &err.text() + &file;
            assert!(found.contains(expected), "{place:?}: {found:?}");
            if let (Place::File(_), Some(line)) = (&place, file.lines().next()) {
                let stamp = line.split(' ').next().unwrap();
                assert!(stamp.len() == 27 && stamp.starts_with("20") && stamp.ends_with('Z'), "{stamp}");
            }
        }
    }

    /// One object a line, whatever the message holds.
    #[test]
    fn lines_of_json() {
        for (place, prefix) in [(Place::Stdout, ""), (Place::Journal, "<6>")] {
            let (out, err) = (Paper::default(), Paper::default());
            let style = (LogLevel::Normal, LogFormat::Json);
            let log = open(&place, style, false, Box::new(out.clone()), Box::new(err.clone()));
            with_default(&log.dispatch, || {
                info!(lineage = "a.example", n = 3, owner = %"_25", flag = true, "two\nlines\u{1b} \"");
            });
            let text = out.text() + &err.text();
            assert_eq!(text.lines().count(), 1, "{text}");
            let mut found: serde_json::Value = serde_json::from_str(text.strip_prefix(prefix).unwrap()).unwrap();
            let time = found["time"].take();
            assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
            let message = "two\nlines\u{1b} \"";
            let expected = serde_json::json!({
                "time": null, "level": "info", "message": message, "lineage": "a.example", "n": 3, "owner": "_25", "flag": true,
            });
            assert_eq!(found, expected);
        }
        // Beside a log on standard output errors are objects, too; beside a log in a file they are for people.
        for (place, json) in [(Place::Stdout, true), (Place::Nowhere, false)] {
            let err = Paper::default();
            let log =
                open(&place, (LogLevel::Normal, LogFormat::Json), false, Box::new(io::sink()), Box::new(err.clone()));
            with_default(&log.dispatch, || error!(lineage = "a.example", "a.example: no"));
            match json {
                true => assert!(err.text().starts_with('{'), "{}", err.text()),
                false => assert_eq!(err.text(), "error: a.example: no\n"),
            }
        }
    }

    #[test]
    fn a_log_that_fails() {
        for (path, why) in [
            ("/dev/null/log", "Not a directory"),
            ("/nonexistent/log", "No such file or directory"),
            ("/dev/full", "No space left on device"),
        ] {
            for quiet in [false, true] {
                let err = Paper::default();
                let log = open(
                    &Place::File(path.into()),
                    (LogLevel::Normal, LogFormat::Text),
                    quiet,
                    Box::new(io::sink()),
                    Box::new(err.clone()),
                );
                with_default(&log.dispatch, || (0..3).for_each(|_| info!("I!")));
                assert_eq!((log.failed(), log.exit_code(0), log.exit_code(3)), (true, 16, 19), "{path}");
                let told = err.text();
                assert!(told.starts_with(&format!("error: the log {path} cannot be written: {why}")), "{told}");
                assert_eq!(told.lines().count(), 1, "{told}");
            }
        }
    }

    #[test]
    fn streams_that_fail() {
        use io::ErrorKind::{BrokenPipe, StorageFull};
        for (place, out, err, failed) in [
            (Place::Stdout, Some(BrokenPipe), None, false),
            (Place::Stdout, Some(StorageFull), None, true),
            (Place::Stdout, None, Some(StorageFull), false),
            (Place::Nowhere, None, Some(BrokenPipe), false),
            (Place::Journal, None, Some(StorageFull), true),
        ] {
            let (out, err) = (Paper(Arc::default(), out), Paper(Arc::default(), err));
            let log = open(&place, (LogLevel::Normal, LogFormat::Text), false, Box::new(out), Box::new(err));
            with_default(&log.dispatch, events);
            assert_eq!(log.failed(), failed, "{place:?}");
        }
    }
}
