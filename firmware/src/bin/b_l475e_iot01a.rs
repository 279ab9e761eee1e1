#![cfg_attr(target_os = "none", no_std, no_main)]

goldcrest_firmware::run!(b_l475e_iot01a);
