//! The engine in C: its header, the libraries of all cores, programs of C in emulators and on this machine,
//! and projects as they are exported. And the engine as WebAssembly.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use goldcrest_board::cargo;
use goldcrest_board::payload::Payload;
use goldcrest_engine::kernels::{self, Family};
use goldcrest_export::{CORES, Core, Export, FORMS, Library, Project, cores, form, library};
use goldcrest_quantize::pack::PackOptions;
use goldcrest_quantize::random::{self, Random};
use goldcrest_tests::{goldcrest_json, text};
use object::{Object, ObjectSection, ObjectSymbol};
use tempfile::TempDir;

/// Pictures that every program answers.
const PICTURES: usize = 20;
const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// The library of a core, built once.
fn library(core: &'static Core) -> Library {
    static BUILT: LazyLock<Mutex<BTreeMap<&str, Library>>> = LazyLock::new(Mutex::default);
    // One build at a time: they would wait for each other anyway.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.entry(core.name).or_insert_with(|| {
        library::build(core, false).unwrap_or_else(|error| panic!("{}: {error}", core.name))
    });
    built.clone()
}

fn pictures() -> Vec<Vec<u8>> {
    let mut random = Random::new(7);
    (0..PICTURES).map(|_| random.pixels(32 * 32 * 3)).collect()
}

/// LeNet-5 for a family, with all pictures as golden vectors.
fn lenet5(family: Family) -> Payload {
    let options = PackOptions { family, golden: pictures(), ..PackOptions::default() };
    Payload::pack(&random::lenet5(1), &options).unwrap()
}

/// A project of LeNet-5 in a temporary folder.
fn exported(form: &str, core: &'static Core) -> TempDir {
    let payload = lenet5(core.family);
    let export = Export {
        name: "model".into(),
        title: "LeNet-5 | test".into(),
        payload: &payload,
        core,
        small: false,
    };
    let project = Project::with_library(form::find(form).unwrap(), &export, || Ok(library(core))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    project.write(folder.path(), false).unwrap();
    folder
}

/// What the host engine answers, as programs print it.
fn expected_lines() -> Vec<String> {
    let payload = lenet5(Family::Portable);
    let image = payload.image.image();
    let lines = image.golden().enumerate().map(|(index, (_, logits))| {
        let logits: Vec<_> = logits.iter().map(i8::to_string).collect();
        format!("logits {index}: {}", logits.join(" "))
    });
    lines.collect()
}

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("SKIPPED: {program} is missing");
    }
    found
}

fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs a command, asserts that it succeeded and returns what it printed.
fn run(command: &mut Command) -> String {
    let output = output(command);
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out
}

fn sources(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("c").join(name)
}

#[test]
fn the_header_is_current_and_compiles_in_c_and_in_cpp() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = root.join("shared/c");
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for name in ["status.rs", "model.rs", "engine.rs", "kernels.rs"] {
        builder = builder.with_src(folder.join("src").join(name));
    }
    let mut header = Vec::new();
    builder.generate().unwrap().write(&mut header);
    let header = String::from_utf8(header).unwrap();
    let path = folder.join("goldcrest.h");
    let kept = fs::read_to_string(&path).unwrap_or_default();
    if kept != header && std::env::var_os("UPDATE_HEADER").is_some() {
        fs::write(&path, &header).unwrap();
    } else {
        assert!(
            kept == header,
            "{} is not what the sources say; run this test with UPDATE_HEADER=1",
            path.display()
        );
    }
    // Every kernel of the engine has a name in C.
    for kernel in kernels::ALL {
        let declared = format!("extern const gc_kernel {};", library::kernel_symbol(kernel.name()));
        assert!(header.contains(&declared), "{declared}");
    }
    for (compiler, language, standard) in [("gcc", "c", "c99"), ("g++", "c++", "c++11")] {
        run(Command::new(compiler)
            .args(["-fsyntax-only", "-x", language, &format!("-std={standard}")])
            .args(STRICT)
            .arg(&path));
    }
}

/// What a library may ask of a program: memory, and arithmetic that the compiler's library has.
const ASKED: [&str; 5] = ["memcpy", "memmove", "memset", "memcmp", "bcmp"];
const ARITHMETIC: [&str; 13] = [
    "__aeabi_idiv",
    "__aeabi_idivmod",
    "__aeabi_ldivmod",
    "__aeabi_llsl",
    "__aeabi_llsr",
    "__aeabi_lasr",
    "__aeabi_lmul",
    "__aeabi_uidiv",
    "__aeabi_uidivmod",
    "__aeabi_uldivmod",
    "__udivdi3",
    "__divdi3",
    "__umoddi3",
];

#[test]
fn libraries_show_the_header_s_names_and_hold_what_they_reach() {
    for core in CORES {
        let library = library(core);
        let archive = object::read::archive::ArchiveFile::parse(&*library.archive).unwrap();
        let members: Vec<_> = archive.members().map(Result::unwrap).collect();
        assert_eq!(members.len(), 1, "{}", core.name);
        let bytes = goldcrest_engine::AlignedBytes::from(members[0].data(&*library.archive).unwrap());
        let object = object::File::parse(&*bytes).unwrap();
        let (mut shown, mut asked) = (BTreeSet::new(), BTreeSet::new());
        for symbol in object.symbols().filter(|symbol| symbol.name().is_ok_and(|name| !name.is_empty())) {
            let name = symbol.name().unwrap();
            for part in ["panic", "unwind", "personality", "alloc", "unwrap_failed"] {
                assert!(!name.contains(part), "{}: {name}", core.name);
            }
            match (symbol.is_undefined(), symbol.is_global()) {
                (true, _) => asked.insert(name.to_string()),
                (false, true) => shown.insert(name.to_string()),
                (false, false) => false,
            };
        }
        let declared =
            |name: &&String| library.header.contains(&format!("{name}(")) || name.starts_with("gc_kernel_");
        assert_eq!(shown.iter().filter(declared).count(), shown.len(), "{}: {shown:?}", core.name);
        for kernel in kernels::ALL {
            let symbol = library::kernel_symbol(kernel.name());
            assert_eq!(shown.contains(&symbol), kernel.family() <= core.family, "{}: {symbol}", core.name);
        }
        for name in &asked {
            let memory = name.trim_start_matches("__aeabi_").trim_end_matches(['4', '8']);
            let is_memory = ASKED.contains(&memory) || memory == "memclr";
            assert!(is_memory || ARITHMETIC.contains(&&**name), "{}: asks for {name}", core.name);
        }
        for section in object.sections() {
            let name = section.name().unwrap();
            let is_left = [
                ".ARM.attributes",
                ".riscv.attributes",
                ".eh_frame",
                ".debug",
                ".ARM.exidx",
                ".data",
                ".bss",
            ];
            let is_data = name.starts_with(".data.rel.ro");
            assert!(is_data || !is_left.iter().any(|left| name.starts_with(left)), "{}: {name}", core.name);
        }
        let kernels: Vec<_> = lenet5(core.family).layers.iter().map(|layer| layer.kernel).collect();
        let code = library.code_bytes(&kernels);
        if core.name == "cortex-m4" {
            let small = library::build(core, true).unwrap().code_bytes(&kernels);
            assert!(small < code - 1_000, "for size {small}, else {code}");
        }
        eprintln!("{}: LeNet-5 links {code} bytes; the archive has {}", core.name, library.archive.len());
        let limit = if core.is_bare() { 20_000 } else { 24_000 };
        assert!((4_000..limit).contains(&code), "{}: {code}", core.name);
    }
}

/// Puts a program of the tests and its pictures into an exported project instead of its own.
fn put_program(folder: &Path, program: &str) {
    let payload = lenet5(Family::Portable);
    let mut header = format!("#define PICTURES {PICTURES}\n#define LAYERS {}\n", payload.layers.len());
    header += "static const uint8_t pictures[PICTURES][MODEL_INPUT_BYTES] = {\n";
    for picture in pictures() {
        let values: Vec<_> = picture.iter().map(u8::to_string).collect();
        header += &format!("{{ {} }},\n", values.join(","));
    }
    fs::write(folder.join("pictures.h"), header + "};\n").unwrap();
    fs::copy(sources(program), folder.join("main.c")).unwrap();
}

/// What the test's program prints when it is built and run as the project's own.
fn answers(core: &'static Core, settings: &[&str]) -> Vec<String> {
    let folder = exported("c", core);
    put_program(folder.path(), "answers.c");
    let said =
        output(Command::new("make").arg("-C").arg(folder.path()).args(["--silent", "run"]).args(settings));
    // Characters that a program writes by semihosting come out of QEMU's standard error.
    let out = [said.stdout, said.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(said.status.success(), "{}: {}\n{out}", core.name, said.status);
    if core.name == "cortex-m4" {
        program_takes_memory_from_its_own_library(folder.path());
    }
    out.lines().map(str::trim_end).filter(|line| line.starts_with("logits")).map(str::to_string).collect()
}

/// The linked program has one `memcpy`, newlib's, nothing of Rust's library, and only the kernels of its
/// model.
fn program_takes_memory_from_its_own_library(folder: &Path) {
    let map = fs::read_to_string(folder.join("model.elf.map")).unwrap();
    assert!(map.lines().any(|line| line.contains("libc_nano.a(") && line.contains("memcpy")), "{map:.2000}");
    let elf = fs::read(folder.join("model.elf")).unwrap();
    let elf = object::File::parse(&*elf).unwrap();
    let names: Vec<_> = elf.symbols().filter_map(|symbol| symbol.name().ok()).collect();
    assert!(!names.iter().any(|name| name.contains("rust_eh_personality") || name.contains("panic")));
    let kernels: BTreeSet<_> = names.iter().filter(|name| name.starts_with("gc_kernel_")).copied().collect();
    let layers = lenet5(Family::Dsp).layers;
    let expected: BTreeSet<_> = layers.iter().map(|layer| library::kernel_symbol(layer.kernel)).collect();
    assert!(kernels.iter().copied().eq(expected.iter().map(String::as_str)), "{kernels:?}");
}

fn core(name: &str) -> &'static Core {
    cores::find(name).unwrap()
}

#[test]
fn programs_in_c_answer_as_the_host_does_in_three_conventions_on_cortex_m4() {
    if has("arm-none-eabi-gcc") {
        for float in ["soft", "softfp", "hard"] {
            assert_eq!(answers(core("cortex-m4"), &[&format!("FLOAT={float}")]), expected_lines(), "{float}");
        }
    }
}

#[test]
fn programs_in_c_answer_as_the_host_does_on_other_cores() {
    if has("arm-none-eabi-gcc") {
        for name in ["cortex-m0plus", "cortex-m3", "cortex-m7", "cortex-m33", "cortex-m55"] {
            assert_eq!(answers(core(name), &[]), expected_lines(), "{name}");
        }
    }
    // GCC for RISC-V without a C library is of no use.
    if has("riscv64-unknown-elf-gcc") && Path::new("/usr/lib/picolibc/riscv64-unknown-elf").exists() {
        for name in ["rv32imc", "rv32imac"] {
            assert_eq!(answers(core(name), &[]), expected_lines(), "{name}");
        }
    }
    if has("aarch64-linux-gnu-gcc") && has("qemu-aarch64") {
        assert_eq!(answers(core("aarch64"), &[]), expected_lines());
    }
}

#[test]
fn answers_of_a_program_are_part_of_the_proof() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("net.int8.onnx");
    fs::write(&model, goldcrest_onnx::int8::write(&random::lenet5(1)).encode()).unwrap();
    let project = folder.path().join("project");
    let [data, golden] = ["glyphs:100,20", "20"];
    let arguments = ["export", text(&model), "--as", "c", "--core", "x86-64", "--out", text(&project)];
    let report = goldcrest_json(&[&arguments[..], &["--data", data, "--golden", golden]].concat(), 0);
    assert_eq!((&report["name"], &report["golden"]), (&"net".into(), &20.into()));

    // The program as exported, then one that answers the pictures of vectors.json.
    let first = run(Command::new("make").arg("-C").arg(&project).args(["--silent", "run"]));
    let vectors: serde_json::Value =
        serde_json::from_slice(&fs::read(project.join("vectors.json")).unwrap()).unwrap();
    let best = goldcrest_engine::answer::largest(&numbers(&vectors["vectors"][0]["logits"]));
    assert_eq!(first.trim_end(), vectors["labels"][best].as_str().unwrap());
    let rows = vectors["vectors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|vector| format!("{{{}}}", joined(&vector["pixels"])));
    let program = format!(
        "#include <stdio.h>\n#include \"net.h\"\nstatic const uint8_t pictures[20][NET_INPUT_BYTES] = \
         {{{}}};\n\
         static gc_engine engine;\nstatic uint32_t arena[NET_ARENA_WORDS];\n\
         int main(void) {{\n  if (gc_open(&engine, &net_model, arena, sizeof arena)) return 1;\n\
         for (int i = 0; i < 20; i++) {{\n    if (gc_load(&engine, pictures[i], NET_INPUT_BYTES)) return 1;\n\
         gc_run(&engine);\n    printf(\"logits %d:\", i);\n\
         for (int c = 0; c < NET_CLASSES; c++) printf(\" %d\", gc_logits(&engine)[c]);\n    \
         printf(\"\\n\");\n  }}\n\
         return 0;\n}}\n",
        rows.collect::<Vec<_>>().join(",")
    );
    fs::write(project.join("main.c"), program).unwrap();
    let answers = run(Command::new("make").arg("-C").arg(&project).args(["--silent", "run"]));

    let verify = |answers: &str| {
        let mut child = Command::new(goldcrest_tests::binary())
            .args(["verify", text(&model), "--data", data, "--count", golden, "--stdin", "--json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), report)
    };
    let (code, report) = verify(&answers);
    assert_eq!(
        (code, &report["answers"]["mismatches"], &report["answers"]["values"]),
        (Some(0), &0.into(), &200.into())
    );
    assert_eq!(report["mismatches"], 0);
    assert!(report["references"].as_array().unwrap().contains(&"onnxruntime".into()), "{report}");
    // One logit off, one image without an answer, and no answer at all.
    let last = answers.lines().last().unwrap();
    let (start, logit) = last.rsplit_once(' ').unwrap();
    let wrong = logit.parse::<i8>().unwrap() ^ 1;
    let (code, report) = verify(&answers.replace(last, &format!("{start} {wrong}")));
    assert_eq!((code, &report["answers"]["mismatches"]), (Some(1), &1.into()));
    let (code, report) = verify(&answers.replace(last, ""));
    assert_eq!((code, &report["answers"]["missing"]), (Some(1), &serde_json::json!([19])));
    let (code, report) = verify("no answer\n");
    let message = report["error"]["message"].as_str().unwrap();
    assert!(code == Some(2) && message.contains("logits INDEX"), "{message}");

    // A folder with files in it is not written into, and a name of no core is named.
    let refused = goldcrest_json(&arguments, 2);
    assert!(refused["error"]["message"].as_str().unwrap().contains("--overwrite"), "{refused}");
    let arguments = ["export", text(&model), "--as", "zephyr", "--core", "x86-64", "--out", text(&project)];
    let refused = goldcrest_json(&arguments, 2);
    assert!(refused["error"]["message"].as_str().unwrap().contains("--as c"), "{refused}");
}

fn numbers(values: &serde_json::Value) -> Vec<i64> {
    values.as_array().unwrap().iter().map(|value| value.as_i64().unwrap()).collect()
}

fn joined(values: &serde_json::Value) -> String {
    numbers(values).iter().map(i64::to_string).collect::<Vec<_>>().join(",")
}

#[test]
fn what_is_wrong_is_a_status_and_no_fault() {
    let folder = exported("c", core("x86-64"));
    let payload = lenet5(Family::Portable);
    let bytes = payload.image.bytes();
    // The first logit of the first golden vector, by the offset in the header.
    let golden =
        u32::from_le_bytes(*bytes[goldcrest_engine::packer::header_field::GOLDEN..].first_chunk().unwrap());
    let program = folder.path().join("wrong");
    run(Command::new("gcc")
        .args([
            "-std=c99",
            "-g",
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=all",
            "-fno-sanitize=alignment",
        ])
        .args(STRICT)
        .args([format!("-DCOPY_WORDS={}", bytes.len().div_ceil(4))])
        .args([format!("-DCHANGED_LOGIT={}", golden as usize + 3072)])
        .arg("-I")
        .arg(folder.path())
        .arg("-I")
        .arg(folder.path().join("goldcrest"))
        .arg(sources("wrong.c"))
        .arg(folder.path().join("model.c"))
        .arg(folder.path().join("goldcrest/libgoldcrest-x86-64.a"))
        .arg("-o")
        .arg(&program));
    run(&mut Command::new(program));
}

#[test]
fn two_libraries_of_rust_and_ours_are_one_program() {
    let folder = exported("c", core("x86-64"));
    for name in ["first", "second"] {
        let source = format!(
            "#[unsafe(no_mangle)]\npub extern \"C\" fn {name}_length(value: i32) -> i32 {{\n    \
             std::panic::catch_unwind(|| format!(\"{{value}}\").len() as i32).unwrap_or(-1)\n}}\n"
        );
        let path = folder.path().join(format!("{name}.rs"));
        fs::write(&path, source).unwrap();
        run(Command::new("rustc")
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
            .args([
                "--edition=2024",
                "--crate-type=staticlib",
                "-Copt-level=1",
                "--crate-name",
                name,
                "--out-dir",
            ])
            .arg(folder.path())
            .arg(path));
    }
    let program = folder.path().join("two");
    run(Command::new("gcc")
        .args(["-std=c99", "-Igoldcrest", "-I."])
        .current_dir(folder.path())
        .arg(sources("two.c"))
        .args([
            "model.c",
            "libfirst.a",
            "libsecond.a",
            "goldcrest/libgoldcrest-x86-64.a",
            "-lpthread",
            "-ldl",
            "-lm",
        ])
        .arg("-o")
        .arg(&program));
    assert_eq!(run(&mut Command::new(program)), "5 3 done\n");
}

/// Files of a project, by their paths.
fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut left) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(path) = left.pop() {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { left.push(path) } else { found.push(path) }
        }
    }
    found
}

#[test]
fn every_form_is_whole_for_every_core_that_it_takes() {
    let mut made = 0;
    for form in FORMS.iter().filter(|form| form.name != "rust") {
        for core in CORES {
            let payload = lenet5(core.family);
            let export = Export {
                name: "model".into(),
                title: "LeNet-5".into(),
                payload: &payload,
                core,
                small: false,
            };
            let Ok(project) = Project::with_library(form, &export, || Ok(library(core))) else { continue };
            made += 1;
            for (path, bytes) in &project.files {
                let name = path.to_string_lossy();
                if name.ends_with(".a") || name.ends_with(".gci") {
                    continue;
                }
                let text = std::str::from_utf8(bytes).unwrap();
                assert!(!text.contains("{{") && !text.contains("{%"), "{}: {name}", form.name);
                if name.ends_with(".json") {
                    serde_json::from_str::<serde_json::Value>(text).unwrap();
                }
                if name.ends_with("library.properties") || name.ends_with("prj.conf") {
                    assert!(text.lines().all(|line| line.contains('=')), "{text}");
                }
            }
            assert!(project.files.keys().any(|path| path.ends_with("goldcrest.h")), "{}", form.name);
        }
    }
    assert!(made > 40, "{made}");
}

#[test]
fn exported_sources_compile_without_a_warning() {
    for name in ["c", "zephyr", "esp-idf", "arduino", "platformio"] {
        let taken = ["cortex-m4", "rv32imc"].into_iter().find(|core_name| {
            let payload = lenet5(core(core_name).family);
            let export = Export {
                name: "model".into(),
                title: String::new(),
                payload: &payload,
                core: core(core_name),
                small: false,
            };
            Project::with_library(form::find(name).unwrap(), &export, || Ok(library(core(core_name)))).is_ok()
        });
        let folder = exported(name, core(taken.unwrap()));
        let header = files(folder.path()).into_iter().find(|path| path.ends_with("goldcrest.h")).unwrap();
        let model = files(folder.path()).into_iter().find(|path| path.ends_with("model.h")).unwrap();
        for source in
            files(folder.path()).iter().filter(|path| path.extension().is_some_and(|kind| kind == "c"))
        {
            if source.ends_with("board/start.c") {
                continue;
            }
            for (compiler, language, standard) in [("gcc", "c", "c99"), ("g++", "c++", "c++11")] {
                run(Command::new(compiler)
                    .args(["-fsyntax-only", "-x", language, &format!("-std={standard}")])
                    .args(STRICT)
                    .arg("-I")
                    .arg(header.parent().unwrap())
                    .arg("-I")
                    .arg(model.parent().unwrap())
                    .arg(source));
            }
        }
    }
}

#[test]
fn the_form_of_cmake_builds() {
    if !has("cmake") {
        return;
    }
    let folder = exported("cmake", core("x86-64"));
    let build = folder.path().join("build");
    run(Command::new("cmake").arg("-S").arg(folder.path()).arg("-B").arg(&build));
    run(Command::new("cmake").arg("--build").arg(&build));
    let label = run(&mut Command::new(build.join("model-example")));
    let vectors: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("vectors.json")).unwrap()).unwrap();
    let best = goldcrest_engine::answer::largest(&numbers(&vectors["vectors"][0]["logits"]));
    assert_eq!(label.trim_end(), vectors["labels"][best].as_str().unwrap());
}

#[test]
fn the_form_of_rust_builds() {
    let folder = exported("rust", core("x86-64"));
    // The versions that this workspace has, so that nothing is downloaded.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::copy(root.join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();
    fs::copy(root.join("rust-toolchain.toml"), folder.path().join("rust-toolchain.toml")).unwrap();
    let mut command = cargo::command(folder.path(), &[]);
    let label = run(command.args(["run", "--release", "--quiet", "--offline", "--target-dir", "target"]));
    let vectors: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("vectors.json")).unwrap()).unwrap();
    let best = goldcrest_engine::answer::largest(&numbers(&vectors["vectors"][0]["logits"]));
    assert_eq!(label.trim_end(), vectors["labels"][best].as_str().unwrap());
}

#[test]
fn the_module_of_webassembly_answers_as_the_host_does_in_node() {
    if !has("node") {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut command = cargo::command(root, &[]);
    command
        .args([
            "rustc",
            "--package",
            "goldcrest-web",
            "--lib",
            "--crate-type",
            "cdylib",
            "--profile",
            "library",
        ])
        .args(["--target", "wasm32-unknown-unknown", "--message-format=json-render-diagnostics"]);
    let built = output(&mut command);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let module = cargo::artifact(&built.stdout, "goldcrest_web", ".wasm").unwrap();

    let folder = tempfile::tempdir().unwrap();
    // Portable kernels, and those of boards: their equals in plain code.
    for family in Family::ALL {
        let payload = lenet5(family);
        fs::write(folder.path().join("model.gci"), payload.image.bytes()).unwrap();
        fs::write(folder.path().join("pictures"), pictures().concat()).unwrap();
        let script = format!(
            "import {{ readFileSync }} from 'node:fs';\n\
             import {{ Engine, GoldcrestError }} from {:?};\n\
             const [wasm, image, pictures] = [{:?}, 'model.gci', 'pictures'].map((path) => \
             readFileSync(path));\n\
             const engine = await Engine.load(wasm, image);\n\
             if (engine.selftest() !== {PICTURES}) throw new Error('self-test');\n\
             for (let index = 0; index < {PICTURES}; index++) {{\n\
             const {{ best, label, logits, probabilities }} = engine.run(pictures.subarray(index * 3072, \
             (index + 1) * 3072));\n\
             if (label !== engine.labels[best] || logits[best] !== Math.max(...logits)) throw new \
             Error(label);\n\
             if (Math.abs(probabilities.reduce((a, b) => a + b) - 1) > 1e-9) throw new \
             Error('probabilities');\n\
             console.log(`logits ${{index}}: ${{[...logits].join(' ')}}`);\n}}\n\
             for (const wrong of [new Uint8Array(3), image.subarray(0, 999)])\n\
             await Engine.load(wasm, wrong).then(() => {{ throw new Error('opened'); }}, (error) => {{\n\
             if (!(error instanceof GoldcrestError)) throw error;\n}});\n",
            root.join("shared/web/goldcrest.mjs"),
            module
        );
        fs::write(folder.path().join("test.mjs"), script).unwrap();
        let out = run(Command::new("node").arg("test.mjs").current_dir(folder.path()));
        assert_eq!(out.lines().collect::<Vec<_>>(), expected_lines(), "{family}");
    }
}
