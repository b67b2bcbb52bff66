# Completion of daneroll(8) for fish: /usr/share/fish/vendor_completions.d/daneroll.fish

function __daneroll_lineages
    set -l live /etc/letsencrypt/live
    set -q DANEROLL_LIVE; and set live $DANEROLL_LIVE
    for lineage in $live/*/
        basename $lineage
    end
end

set -l words pre post deploy reset configtest status check print danebot import-alnitak rollback withdraw switch
set -l no_word "not __fish_seen_subcommand_from $words"

complete -c daneroll -f
complete -c daneroll -n $no_word -a pre -d 'Before a renewal'
complete -c daneroll -n $no_word -a post -d 'After it'
complete -c daneroll -n $no_word -a deploy -d 'One lineage was renewed'
complete -c daneroll -n $no_word -a reset -d 'Build the dane directory'
complete -c daneroll -n $no_word -a configtest -d 'Check the configuration'
complete -c daneroll -n $no_word -a status -d 'What is served, published, awaited'
complete -c daneroll -n $no_word -a check -d 'Audit for monitoring'
complete -c daneroll -n $no_word -a print -d 'TLSA data of certificates'
complete -c daneroll -n $no_word -a danebot -d 'What DaneBot does, with its own options'
complete -c daneroll -n $no_word -a import-alnitak -d 'Take over what Alnitak left under way'
complete -c daneroll -n $no_word -a rollback -d 'Put the previous certificate back'
complete -c daneroll -n $no_word -a withdraw -d 'Leave DANE for a lineage'
complete -c daneroll -n $no_word -a switch -d 'Switch a lineage by hand'
complete -c daneroll -n '__fish_seen_subcommand_from status check rollback withdraw switch' -a '(__daneroll_lineages)' -d Lineage
complete -c daneroll -l pre -d 'Before a renewal'
complete -c daneroll -l post -d 'After it'
complete -c daneroll -l reset -d 'Build the dane directory'
complete -c daneroll -s t -l config-test -d 'Check the configuration'
complete -c daneroll -s c -l config -r -F -d 'Configuration file'
complete -c daneroll -s C -l letsencrypt-directory -x -a '(__fish_complete_directories)' -d 'Where live/ and archive/ are'
complete -c daneroll -s D -l dane-directory -x -a '(__fish_complete_directories)' -d 'What services read'
complete -c daneroll -l state-directory -x -a '(__fish_complete_directories)' -d 'What must be remembered'
complete -c daneroll -s l -l log -r -F -d 'Where to log'
complete -c daneroll -l log-format -x -a 'text json' -d 'How a line of the log looks'
complete -c daneroll -s L -l log-level -x -a 'no normal verbose debug' -d 'How much to log'
complete -c daneroll -s q -l quiet -d 'Nothing on the terminal'
complete -c daneroll -l ttl -x -a '15m 1h 1d' -d 'Least wait before a switch'
complete -c daneroll -l dry-run -d 'Say what would be done'
complete -c daneroll -l json -d 'The result as JSON'
complete -c daneroll -l wait -d 'Stay until nothing is pending'
complete -c daneroll -l force -d 'With reset: drop pins that a rollover needs'
complete -c daneroll -l live -d 'With status: ask name servers and services'
complete -c daneroll -l host -x -d 'With check: an endpoint'
complete -c daneroll -l timeout -x -a '10 30' -d 'With check: for everything'
complete -c daneroll -l prometheus -r -F -d 'With check: write metrics there'
complete -c daneroll -l zone -d 'With print: lines for a zone file'
complete -c daneroll -l now -d 'With switch: do not wait'
complete -c daneroll -l accept-mismatch -d 'With switch: even if clients will fail'
complete -c daneroll -s h -l help -d 'Print help'
complete -c daneroll -s V -l version -d 'Print the version'
