//! The folder for what is fetched or made once.

use std::path::PathBuf;

/// The environment variable that moves the cache folder.
pub const CACHE_VARIABLE: &str = "GOLDCREST_CACHE";

/// The folder for what is fetched or made once: `$GOLDCREST_CACHE`, else `goldcrest` in the user's cache
/// folder. `None` where there is neither.
pub fn cache_folder() -> Option<PathBuf> {
    match std::env::var_os(CACHE_VARIABLE) {
        Some(path) if !path.is_empty() => Some(path.into()),
        _ => Some(dirs::cache_dir()?.join("goldcrest")),
    }
}
