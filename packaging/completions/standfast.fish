# fish completion for standfast(1)

set -l commands check status why move drain drill undrain restart-proxy route import demo
complete -c standfast -f
complete -c standfast -n "not __fish_seen_subcommand_from $commands" -a check -d 'Validate configuration files'
complete -c standfast -n "not __fish_seen_subcommand_from $commands" -a status -d 'This host on one screen'
complete -c standfast -n "not __fish_seen_subcommand_from $commands" -a why -d 'Who has a VIP, and what would move it'
complete -c standfast -n "not __fish_seen_subcommand_from $commands" -a move -d 'Move a VIP to another host'
complete -c standfast -n "not __fish_seen_subcommand_from $commands" -a drain -d 'Give the VIPs away'
complete -c standfast -n "not __fish_seen_subcommand_from $commands" -a drill -d 'Break this host on purpose, and measure'
complete -c standfast -n "not __fish_seen_subcommand_from $commands" -a undrain -d 'End a drain'
complete -c standfast -n "not __fish_seen_subcommand_from $commands" -a restart-proxy -d 'Replace the running proxy'
complete -c standfast -n "not __fish_seen_subcommand_from $commands" -a route -d 'Where a statement would go, and why'
complete -c standfast -n "not __fish_seen_subcommand_from $commands" -a import -d 'Bring along ProxySQL and keepalived'
complete -c standfast -n "not __fish_seen_subcommand_from $commands" -a demo -d 'Failures and their price, on this machine'
complete -c standfast -n "__fish_seen_subcommand_from check" -F
complete -c standfast -n "__fish_seen_subcommand_from check" -l host -x -d 'Resolve for this host'
complete -c standfast -n "__fish_seen_subcommand_from route" -l user -x -d 'Who runs it'
complete -c standfast -n "__fish_seen_subcommand_from route" -l schema -x -d 'In which schema'
complete -c standfast -n "__fish_seen_subcommand_from route" -l client -x -d 'From which address'
complete -c standfast -n "__fish_seen_subcommand_from route" -l json -d 'One JSON object'
complete -c standfast -n "__fish_seen_subcommand_from import" -F
complete -c standfast -n "__fish_seen_subcommand_from import" -l dry-run -d 'Write nothing'
complete -c standfast -n "__fish_seen_subcommand_from import" -l force -d 'Replace what is there'
complete -c standfast -n "__fish_seen_subcommand_from import" -l data-dir -r -F -d 'Where the database goes'
complete -c standfast -n "__fish_seen_subcommand_from import" -l host -x -d 'NAME=ADDRESS of a host'
complete -c standfast -n "__fish_seen_subcommand_from status why move drain drill undrain restart-proxy route import" -l config -r -F -d 'Configuration file'
complete -c standfast -n "__fish_seen_subcommand_from status" -l json -d 'One JSON object'
complete -c standfast -n "__fish_seen_subcommand_from status" -l watch -d 'Repeat every second'
complete -c standfast -n "__fish_seen_subcommand_from move drain" -l within -x -d 'Patience for work in flight, in seconds'
complete -c standfast -n "__fish_seen_subcommand_from drill" -x -a 'kill-proxy hang-proxy crash-loop kill-angel kill-vrrpd move'
