//! The table of forms: a new one is a row here, and its templates.

use crate::cores::Core;

/// A form that a project has: the layout of an ecosystem.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Its name on the command line.
    pub name: &'static str,
    /// Where a core has a place there; the error says what is missing.
    pub(crate) takes: fn(&Core) -> Result<(), &'static str>,
    /// Paths in the project and what stands there, both templates. `MODEL` in a path is the model's name.
    pub(crate) templates: &'static [(&'static str, &'static str)],
    /// Folders, from the project's, that the library `lib{{ library }}.a` is put into.
    pub(crate) libraries: fn(&Core) -> Vec<String>,
    /// The folder of `goldcrest.h`.
    pub(crate) header: &'static str,
    /// What people call the library: `-l` and this.
    pub(crate) library: fn(&Core) -> String,
    /// `main` of its C program, with what it returns; none where its program is another.
    pub(crate) entry: Option<[&'static str; 3]>,
    /// The first paragraph of its README.
    pub(crate) how: &'static str,
}

const MODEL_H: &str = include_str!("../templates/model/model.h");
const MODEL_C: &str = include_str!("../templates/model/model.c");
const MAIN_C: &str = include_str!("../templates/model/main.c");
const README: &str = include_str!("../templates/model/README.md");

const C: Form = Form {
    name: "c",
    takes: |_| Ok(()),
    templates: &[
        ("MODEL.h", MODEL_H),
        ("MODEL.c", MODEL_C),
        ("main.c", MAIN_C),
        ("Makefile", include_str!("../templates/c/Makefile")),
        ("README.md", README),
    ],
    libraries: |_| vec!["goldcrest".into()],
    header: "goldcrest",
    library: |core| format!("goldcrest-{}", core.name),
    entry: Some(["int main(void)", " 1", " 0"]),
    how: "`make` builds `{{ name }}.elf` with {{ core.gcc }}gcc, `make run` runs it{{ run_where }}. {% if \
          core.fpu %}`make FLOAT=soft`, `softfp` or `hard` for the convention of your program. {% endif %}In \
          your own build: compile {{ name }}.c, link `goldcrest/lib{{ library }}.a`, pass \
          `-Wl,--gc-sections`.",
};

/// The start of a program without an operating system, added to [`C`] for Arm.
pub(crate) const ARM_START: &[(&str, &str)] = &[
    ("board/start.c", include_str!("../templates/c/start.c")),
    ("board/link.ld", include_str!("../templates/c/link.ld")),
];

/// The same for [`FORMS`]' Rust.
pub(crate) const RUST_START: &[(&str, &str)] = &[
    (".cargo/config.toml", include_str!("../templates/rust/config.toml")),
    ("memory.x", include_str!("../templates/rust/memory.x")),
    ("build.rs", include_str!("../templates/rust/build.rs")),
];

/// Every form.
pub const FORMS: &[Form] = &[
    Form {
        name: "rust",
        takes: |core| match core.machine {
            Some(machine) if machine.program != "qemu-system-arm" => Err(
                "a start for it is not part of the export; name the engine's folder in your own Cargo.toml",
            ),
            _ => Ok(()),
        },
        templates: &[
            ("Cargo.toml", include_str!("../templates/rust/Cargo.toml")),
            ("src/main.rs", include_str!("../templates/rust/main.rs")),
            ("README.md", README),
        ],
        libraries: |_| Vec::new(),
        header: "",
        library: |_| String::new(),
        entry: None,
        how: "`cargo run --release` builds it and runs it{{ run_where }}. {% if machine %}The compiler's \
              target: `rustup target add {{ core.target }}`. {% endif %}The folder `goldcrest-engine` holds \
              the engine; in your own firmware, depend on it by path.",
    },
    C,
    Form {
        name: "cmake",
        templates: &[
            ("MODEL.h", MODEL_H),
            ("MODEL.c", MODEL_C),
            ("main.c", MAIN_C),
            ("CMakeLists.txt", include_str!("../templates/cmake/CMakeLists.txt")),
            ("README.md", README),
        ],
        how: "`add_subdirectory` of this folder, and `target_link_libraries(YOUR_TARGET PRIVATE {{ name \
              }})`. Alone, `cmake -B build && cmake --build build` builds the example `{{ name }}-example`{% \
              if machine %}, which needs a tool chain file and a start for your part{% endif %}.",
        ..C
    },
    Form {
        name: "zephyr",
        takes: |core| {
            core.boards.zephyr.map(|_| ()).ok_or("Zephyr has no emulated board with it that we know")
        },
        templates: &[
            ("src/MODEL.h", MODEL_H),
            ("src/MODEL.c", MODEL_C),
            ("src/main.c", MAIN_C),
            ("CMakeLists.txt", include_str!("../templates/zephyr/CMakeLists.txt")),
            ("prj.conf", include_str!("../templates/zephyr/prj.conf")),
            ("sample.yaml", include_str!("../templates/zephyr/sample.yaml")),
            ("README.md", README),
        ],
        how: "`west build -b {{ core.boards.zephyr }}` in a Zephyr workspace, or `-b` with your board of the \
              same core.",
        ..C
    },
    Form {
        name: "esp-idf",
        takes: |core| core.boards.esp_idf.map(|_| ()).ok_or("no ESP32 has it that we know"),
        templates: &[
            ("components/MODEL/MODEL.h", MODEL_H),
            ("components/MODEL/MODEL.c", MODEL_C),
            ("components/MODEL/CMakeLists.txt", include_str!("../templates/esp-idf/component.cmake")),
            ("main/main.c", MAIN_C),
            ("main/CMakeLists.txt", include_str!("../templates/esp-idf/main.cmake")),
            ("CMakeLists.txt", include_str!("../templates/esp-idf/CMakeLists.txt")),
            ("sdkconfig.defaults", include_str!("../templates/esp-idf/sdkconfig.defaults")),
            ("README.md", README),
        ],
        libraries: |_| vec!["components/MODEL".into()],
        header: "components/MODEL",
        entry: Some(["void app_main(void);\nvoid app_main(void)", "", ""]),
        how: "`idf.py build flash monitor`. In your own project: copy `components/{{ name }}`, and add it to \
              the `REQUIRES` of the component that uses it.",
        ..C
    },
    Form {
        name: "arduino",
        takes: |core| core.boards.arduino.map(|_| ()).ok_or("no Arduino board has it that we know"),
        templates: &[
            ("src/MODEL.h", MODEL_H),
            ("src/MODEL.c", MODEL_C),
            ("library.properties", include_str!("../templates/arduino/library.properties")),
            ("examples/MODEL_example/MODEL_example.ino", include_str!("../templates/arduino/example.ino")),
            ("README.md", README),
        ],
        libraries: arduino_folders,
        header: "src",
        library: |_| "goldcrest".into(),
        entry: None,
        how: "Copy this folder into the `libraries` of your sketchbook, or pack it as a .zip and add that in \
              the IDE. Then open File > Examples > {{ name }}.",
    },
    Form {
        name: "platformio",
        takes: |core| {
            core.boards.platformio.map(|_| ()).ok_or("PlatformIO has no Arduino board with it that we know")
        },
        templates: &[
            ("lib/MODEL/src/MODEL.h", MODEL_H),
            ("lib/MODEL/src/MODEL.c", MODEL_C),
            ("lib/MODEL/library.json", include_str!("../templates/platformio/library.json")),
            ("src/main.cpp", include_str!("../templates/platformio/main.cpp")),
            ("platformio.ini", include_str!("../templates/platformio/platformio.ini")),
            ("README.md", README),
        ],
        libraries: |_| vec!["lib/MODEL/goldcrest".into()],
        header: "lib/MODEL/src",
        entry: None,
        how: "Put your board into `platformio.ini`, then `pio run --target upload`.",
        ..C
    },
];

/// Arduino looks in a folder of the core; where a core's compiler is told a floating-point unit, in one below
/// it.
fn arduino_folders(core: &Core) -> Vec<String> {
    let folder = format!("src/{}", core.boards.arduino.unwrap_or_default());
    let conventions =
        core.fpu.map(|fpu| ["soft", "softfp", "hard"].map(|float| format!("{folder}/{fpu}-{float}")));
    std::iter::once(folder.clone()).chain(conventions.into_iter().flatten()).collect()
}

/// A name that no form has.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no form is called {name:?}; known: {}", names().collect::<Vec<_>>().join(", "))]
pub struct UnknownForm {
    /// The name asked for.
    pub name: String,
}

/// The form of a name.
///
/// # Errors
/// When there is none.
pub fn find(name: &str) -> Result<&'static Form, UnknownForm> {
    FORMS.iter().find(|form| form.name == name).ok_or_else(|| UnknownForm { name: name.to_string() })
}

/// Every form's name.
pub fn names() -> impl Iterator<Item = &'static str> {
    FORMS.iter().map(|form| form.name)
}
