# Sourced by the launchers. Each says its `verbs` (one function each) and its `needs` (settings it reads), then calls main.
# shellcheck shell=bash disable=SC2154
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dry_run=

main() { # VERB SETTINGS [--dry-run]
    local word words=()
    for word; do
        case $word in
            --dry-run) dry_run=1 ;;
            -h | --help) usage && exit ;;
            -*) fail "unknown option $word" ;;
            *) words+=("$word") ;;
        esac
    done
    [ ${#words[@]} -eq 2 ] || fail "expected a command and a settings file"
    case " $verbs " in *" ${words[0]} "*) ;; *) fail "unknown command ${words[0]}; known: $verbs" ;; esac
    settings=${words[1]}
    [ -f "$settings" ] || fail "no settings file $settings; copy $here/example.env"
    settings=$(cd "$(dirname "$settings")" && pwd)/$(basename "$settings")
    # shellcheck disable=SC2086  # a list of names
    unset $needs
    # shellcheck disable=SC1090  # the user's file
    source "$settings"
    for word in $needs; do
        [ -n "${!word:-}" ] || fail "$settings: $word is not set; $here/example.env says what it is"
    done
    [[ $RUN =~ ^[a-z][-a-z0-9]{0,38}[a-z0-9]$ ]] || fail "$settings: RUN=$RUN must be 2 to 40 of a-z, 0-9 and -"
    "${words[0]}"
}

usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }

fail() {
    echo "$(basename "$0"): $*; see --help" >&2
    exit 2
}

run() { # executes a command, or only shows it
    show "$@"
    [ -n "$dry_run" ] || "$@"
}

run_with() { # INPUT COMMAND ...: the same with a text as standard input
    local text=$1
    shift
    show "$@" "$text"
    [ -n "$dry_run" ] || "$@" <<< "$text"
}

show() { # COMMAND ... [INPUT of several lines]; a dry run shows what a shell would execute, so its output is a script
    local line='' arg
    [ -z "${quiet:-}" ] || return 0
    for arg; do
        case $arg in
            *$'\n'*) line+=" <<'END'"$'\n'"$arg"$'\n'END ;;
            --*) line+=$' \\\n    '$(quote "$arg") ;;
            *) line+=" $(quote "$arg")" ;;
        esac
    done
    if [ -n "$dry_run" ]; then echo "${line# }"; else echo "${line# }" >&2; fi
}

quote() { # one argument as a shell reads it
    local apostrophe="'\\''"
    case $1 in
        '' | *[!A-Za-z0-9_./:=,@%+-]*) printf "'%s'" "${1//\'/$apostrophe}" ;;
        *) printf '%s' "$1" ;;
    esac
}

fill() { # FILE: its text with every ${NAME} of the settings filled in
    local text name
    text=$(grep -v '^#' "$1")
    for name in $needs; do
        text=${text//"\${$name}"/"${!name}"}
    done
    printf '%s' "$text"
}
