# Lacuna beside a language's own server, for kakoune-lsp 18 or newer: source this after `eval %sh{kak-lsp}`.
# The servers of a buffer are set at once, since one that is added later gets no text from kakoune-lsp; and only those that are
# installed, since one that does not start keeps the others from it.
hook -group lacuna global BufSetOption filetype=rust %{
    set-option buffer lsp_servers %sh{
        if command -v rust-analyzer >/dev/null; then
            printf '%s\n' '[rust-analyzer]' 'root_globs = ["Cargo.toml"]' 'single_instance = true'
        fi
        printf '%s\n' '[lacuna]' 'args = ["lsp"]' 'root_globs = ["lacuna.toml", "Cargo.toml", ".git", ".hg"]'
    }
}
hook -group lacuna global BufSetOption filetype=python %{
    set-option buffer lsp_servers %sh{
        if command -v pylsp >/dev/null; then
            printf '%s\n' '[pylsp]' 'root_globs = ["pyproject.toml", "setup.py", "poetry.lock", ".git", ".hg"]'
        fi
        printf '%s\n' '[lacuna]' 'args = ["lsp"]' 'root_globs = ["lacuna.toml", "pyproject.toml", ".git", ".hg"]'
    }
}
# kakoune-lsp asks for completions behind a letter or sign only; a hole is most often behind a space.
hook -group lacuna global BufSetOption filetype=(?:rust|python) %{
    set-option buffer lsp_completion_trigger nop
}
