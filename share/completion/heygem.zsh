#compdef heygem
# Completion of heygem for zsh. The program itself knows what can follow, and answers with a call of _arguments or _files.
eval "$(_HEYGEM_COMPLETE=complete_zsh _TYPER_COMPLETE_ARGS="${(j: :)words[1,$CURRENT]}" ${words[1]} 2>/dev/null)"
