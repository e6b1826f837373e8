# bash completion for standfast(1)

_standfast() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W 'check status why move drain drill undrain restart-proxy route import demo help --help --version' -- "$word")
        return
    fi
    if [ "$previous" = --config ] || [ "$previous" = --data-dir ] || { [[ $command = @(check|import) ]] && [[ $word != -* ]] && [ "$previous" != --host ]; }; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
    fi
    local options
    case $command in
        check) options='--host --help' ;;
        status) options='--config --json --watch --help' ;;
        move | drain) options='--within --config --help' ;;
        drill) options='--yes --vip --report --host --config --help kill-proxy hang-proxy crash-loop kill-angel kill-vrrpd move' ;;
        why | undrain | restart-proxy) options='--config --help' ;;
        route) options='--user --schema --client --json --config --help' ;;
        import) options='--dry-run --force --config --data-dir --host --help' ;;
        *) options= ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
}
complete -F _standfast standfast
