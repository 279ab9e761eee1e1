#![cfg_attr(target_os = "none", no_std, no_main)]

goldcrest_firmware::run!(mps2_an385_v6m);
