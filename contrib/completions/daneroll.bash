# Completion of daneroll(8) for bash: /usr/share/bash-completion/completions/daneroll

_daneroll() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local commands="pre post deploy reset configtest status check print danebot import-alnitak rollback withdraw switch"
    local options="--pre --post --reset --config-test --config --letsencrypt-directory --dane-directory
        --state-directory --log --log-level --log-format --quiet --ttl --dry-run --json --wait --force --live --host
        --timeout --prometheus --zone --now
        --accept-mismatch --help --version"
    COMPREPLY=()
    case $before in
        -c | --config | -l | --log | --prometheus) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        -C | --letsencrypt-directory | -D | --dane-directory | --state-directory)
            mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
        -L | --log-level) mapfile -t COMPREPLY < <(compgen -W "no normal verbose debug" -- "$word") ;;
        --log-format) mapfile -t COMPREPLY < <(compgen -W "text json" -- "$word") ;;
        -t | --ttl) mapfile -t COMPREPLY < <(compgen -W "15m 1h 1d" -- "$word") ;;
        status | check | rollback | withdraw | switch)
            local lineages
            lineages=$(cd "${DANEROLL_LIVE:-/etc/letsencrypt/live}" 2>/dev/null && printf '%s\n' */ | tr -d /)
            mapfile -t COMPREPLY < <(compgen -W "$lineages" -- "$word") ;;
        *)
            case $word in
                -*) mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word") ;;
                *) mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word") ;;
            esac ;;
    esac
}

complete -o filenames -F _daneroll daneroll
