# Completion of waxwing for bash. It needs nothing but bash.
__start_waxwing() {
    local rest=${COMP_LINE:0:COMP_POINT} words=() word i
    COMPREPLY=()
    # The words as the program gets them: bash parts them at @, : and = too.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i == 0)) || [[ $rest == [[:space:]]* ]]; then
            rest=${rest#"${rest%%[![:space:]]*}"}
            words+=("")
        fi
        ((i == COMP_CWORD)) && word=$rest
        rest=${rest#"$word"}
        words[${#words[@]}-1]+=${word//[\'\"\\]/}
    done
    local cur=${words[${#words[@]}-1]} out directive
    out=$("${words[0]/#\~/$HOME}" __completeNoDesc "${words[@]:1}" 2>/dev/null) || return
    directive=${out##*:}
    ((directive & 2)) && compopt -o nospace 2>/dev/null
    ((directive & 4)) && compopt +o default 2>/dev/null
    [[ $cur == -*=* ]] && cur=${cur#*=}
    # What stands before the last place where bash parts words is not replaced.
    local breaks= char before=
    for char in @ : =; do
        [[ $COMP_WORDBREAKS == *"$char"* ]] && breaks+=$char
    done
    [[ $breaks ]] && before=${cur%"${cur##*[$breaks]}"}
    while IFS= read -r word; do
        [[ $word && $word == "$cur"* ]] && COMPREPLY+=("$(printf %q "${word#"$before"}")")
    done <<<"${out%:*}"
}
complete -o default -F __start_waxwing waxwing
