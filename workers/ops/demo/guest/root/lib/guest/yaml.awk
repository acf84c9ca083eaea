# Flattens a YAML or JSON document: one "path<TAB>value" a line for each scalar, such as
# "bootcmd/0/1<TAB>instance". Newlines within a value become \001.
#
# Known: block and flow collections, plain and quoted scalars, block scalars with | and >, comments.
# That is what PyYAML and json.dumps write, and what people write into cloud-config. Not known:
# anchors, tags, complex keys, plain scalars over several lines.

{ sub(/\r$/, ""); line[++last] = $0 }

END { at = 1; if (skip_blank()) node("") }

function skip_blank() {
    while (at <= last && line[at] ~ /^[ ]*(#.*)?$|^---|^\.\.\./) at++
    return at <= last
}

function indent_of(text) { match(text, /^ */); return RLENGTH }

function is_item(text) { return text ~ /^ *-( |$)/ }

function below(path, key) { return path == "" ? key : path "/" key }

function emit(path, value) { gsub(/\n/, "\001", value); print path "\t" value }

# What begins at line `at`; afterwards `at` stands behind it.
function node(path,    text) {
    text = line[at]
    if (is_item(text)) sequence(path, indent_of(text))
    else if (key_length(text)) mapping(path, indent_of(text))
    else { at++; value(path, text, indent_of(text) - 1) }
}

function sequence(path, indent,    number, length_of_dash) {
    number = 0
    while (skip_blank() && indent_of(line[at]) == indent && is_item(line[at])) {
        match(line[at], /^ *- */)
        length_of_dash = RLENGTH
        if (length(line[at]) == length_of_dash) {
            at++
            if (skip_blank() && indent_of(line[at]) > indent) node(below(path, number))
            else emit(below(path, number), "")
        } else if (substr(line[at], length_of_dash + 1) ~ /^[|>]/) {
            at++
            value(below(path, number), substr(line[at - 1], length_of_dash + 1), indent)
        } else {
            # The item may be a collection itself: its first line without the dash says so.
            line[at] = sprintf("%" length_of_dash "s", "") substr(line[at], length_of_dash + 1)
            node(below(path, number))
        }
        number++
    }
}

function mapping(path, indent,    text, key, size) {
    while (skip_blank() && indent_of(line[at]) == indent && (size = key_length(line[at]))) {
        text = substr(line[at], indent + 1)
        key = unquoted(trimmed(substr(text, 1, size)))
        text = trimmed(substr(text, size + 2))
        at++
        if (text == "" || text ~ /^#/) {
            if (skip_blank() && (indent_of(line[at]) > indent ||
                    indent_of(line[at]) == indent && is_item(line[at])))
                node(below(path, key))
            else
                emit(below(path, key), "")
        } else
            value(below(path, key), text, indent)
    }
}

# Characters before the colon, without the indentation; 0 where the line holds no key.
function key_length(text) {
    sub(/^ */, "", text)
    if (text ~ /^["']/) {
        match(text, /^("([^"\\]|\\.)*"|'([^']|'')*') *:/)
        return RLENGTH > 0 && substr(text, RLENGTH + 1) ~ /^( |$)/ ? RLENGTH - 1 : 0
    }
    if (text ~ /^[[{]/) return 0
    return match(text, /:( |$)/) ? RSTART - 1 : 0
}

function value(path, text, indent) {
    text = trimmed(text)
    if (text ~ /^[|>]/) emit(path, block_scalar(substr(text, 1, 1), text, indent))
    else if (text ~ /^[[{]/) { rest = text; flow(path) }
    else if (text ~ /^["']/) emit(path, unquoted(closed(text)))
    else { sub(/ +#.*$/, "", text); emit(path, text) }
}

function block_scalar(style, head, indent,    body, depth) {
    depth = -1
    body = ""
    for (; at <= last; at++) {
        if (line[at] ~ /^ *$/) { body = body "\n"; continue }
        if (indent_of(line[at]) <= indent) break
        if (depth < 0) depth = indent_of(line[at])
        body = body substr(line[at], depth + 1) "\n"
    }
    sub(/\n+$/, "", body)
    if (style == ">") gsub(/\n/, " ", body)
    return head ~ /-/ ? body : body "\n"
}

# A quoted scalar up to its closing quote, with the lines that it goes on over folded in.
function closed(text,    quote, breaks, next_line) {
    quote = substr(text, 1, 1)
    breaks = 0
    while (!is_closed(text, quote) && at <= last) {
        next_line = trimmed(line[at++])
        if (next_line == "") { breaks++; continue }
        if (quote == "\"" && text ~ /(^|[^\\])(\\\\)*\\$/) text = substr(text, 1, length(text) - 1)
        else text = text (breaks ? substr("\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n", 1, breaks) : " ")
        breaks = 0
        text = text next_line
    }
    return text
}

function is_closed(text, quote) {
    if (quote == "'") return text ~ /^'([^']|'')*'( *| +#.*)$/
    return text ~ /^"([^"\\]|\\.)*"( *| +#.*)$/
}

function trimmed(text) { sub(/^[ \t]+/, "", text); sub(/[ \t]+$/, "", text); return text }

function unquoted(text) {
    if (text ~ /^'/) {
        match(text, /^'([^']|'')*'/)
        text = substr(text, 2, RLENGTH - 2)
        gsub(/''/, "'", text)
        return text
    }
    if (text !~ /^"/) return text
    match(text, /^"([^"\\]|\\.)*"/)
    return unescaped(substr(text, 2, RLENGTH - 2))
}

function unescaped(text,    out, from, kind) {
    out = ""
    while ((from = index(text, "\\"))) {
        out = out substr(text, 1, from - 1)
        kind = substr(text, from + 1, 1)
        text = substr(text, from + 2)
        if (kind == "n") out = out "\n"
        else if (kind == "t") out = out "\t"
        else if (kind == "r") out = out "\r"
        else if (kind == "x") { out = out character(substr(text, 1, 2)); text = substr(text, 3) }
        else if (kind == "u") { out = out character(substr(text, 3, 2)); text = substr(text, 5) }
        else out = out kind
    }
    return out text
}

# Of two hexadecimal digits.
function character(digits,    code) {
    code = 16 * (index("0123456789abcdef", tolower(substr(digits, 1, 1))) - 1)
    return sprintf("%c", code + index("0123456789abcdef", tolower(substr(digits, 2, 1))) - 1)
}

function more() {
    sub(/^[ \t]+/, "", rest)
    while ((rest == "" || rest ~ /^#/) && at <= last) rest = trimmed(line[at++])
}

# What begins at `rest`, a collection in brackets over as many lines as it takes.
function flow(path,    number, key) {
    more()
    if (rest ~ /^\[/) {
        rest = substr(rest, 2)
        number = 0
        for (more(); rest != "" && rest !~ /^\]/; more()) {
            flow(below(path, number++))
            more()
            sub(/^,/, "", rest)
        }
        rest = substr(rest, 2)
    } else if (rest ~ /^[{]/) {
        rest = substr(rest, 2)
        for (more(); rest != "" && rest !~ /^[}]/; more()) {
            key = flow_scalar()
            more()
            sub(/^:/, "", rest)
            flow(below(path, key))
            more()
            sub(/^,/, "", rest)
        }
        rest = substr(rest, 2)
    } else
        emit(path, flow_scalar())
}

function flow_scalar(    size, text) {
    if (rest ~ /^"/) match(rest, /^"([^"\\]|\\.)*"/)
    else if (rest ~ /^'/) match(rest, /^'([^']|'')*'/)
    else if (!match(rest, /(: |:$|[],}])/)) RLENGTH = length(rest)
    else RLENGTH = RSTART - 1
    size = RLENGTH
    text = trimmed(substr(rest, 1, size))
    rest = substr(rest, size + 1)
    return unquoted(text)
}
