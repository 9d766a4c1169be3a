# Completion of heygem for bash. The program itself knows what can follow; where it has nothing to say, files are offered.
_heygem() {
    COMPREPLY=()
    local word
    while IFS= read -r word; do
        [ -z "$word" ] || COMPREPLY+=("$word")
    done < <(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD _HEYGEM_COMPLETE=complete_bash "$1" 2>/dev/null)
}
complete -o default -F _heygem heygem
