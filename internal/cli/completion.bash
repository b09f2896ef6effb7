# Completion of waxwing for bash. It needs nothing but bash.
__start_waxwing() {
    local rest=${COMP_LINE:0:COMP_POINT} words=() word raw i
    COMPREPLY=()
    # The words as the program gets them: bash parts them at @, : and = too.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i == 0)) || [[ $rest == [[:space:]]* ]]; then
            rest=${rest#"${rest%%[![:space:]]*}"}
            words+=("") raw=
        fi
        ((i == COMP_CWORD)) && word=$rest
        rest=${rest#"$word"}
        raw+=$word
        words[${#words[@]}-1]+=${word//[\'\"\\]/}
    done
    local cur=${words[${#words[@]}-1]} out directive
    out=$("${words[0]/#\~/$HOME}" __completeNoDesc "${words[@]:1}" 2>/dev/null) || return
    directive=${out##*:}
    ((directive & 2)) && compopt -o nospace 2>/dev/null
    ((directive & 4)) && compopt +o default 2>/dev/null
    [[ $cur == -*=* ]] && cur=${cur#*=}
    # What bash replaces begins at the last @, behind the last : or =, or behind a quote.
    local breaks= char before= quote=%q
    for char in @ : =; do
        [[ $COMP_WORDBREAKS == *"$char"* ]] && breaks+=$char
    done
    if [[ $raw == [\'\"]* ]]; then
        quote=%s
    elif [[ $breaks ]]; then
        before=${cur%"${cur##*[$breaks]}"}
        before=${before%@}
    fi
    while IFS= read -r word; do
        [[ $quote == %s && $word == *[\'\"\`\$\\]* ]] && continue # a shell would read more than words in it
        [[ $word && $word == "$cur"* ]] && COMPREPLY+=("$(printf "$quote" "${word#"$before"}")")
    done <<<"${out%:*}"
}
complete -o default -F __start_waxwing waxwing
