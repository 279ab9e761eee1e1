#![cfg_attr(target_os = "none", no_std, no_main)]

goldcrest_firmware::run!(esp32c3_devkit);
