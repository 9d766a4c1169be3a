# Completion of heygem for fish. The program itself knows what can follow; where it has nothing to say, files are offered.
function __heygem_asked --argument-names action
    set --local --export _HEYGEM_COMPLETE complete_fish
    set --local --export _TYPER_COMPLETE_FISH_ACTION $action
    set --local --export _TYPER_COMPLETE_ARGS (commandline --cut-at-cursor --current-process)
    heygem 2>/dev/null
end
complete --command heygem --condition '__heygem_asked is-args' --no-files --arguments '(__heygem_asked get-args)'
