<?php
// Speaks to "sendmail -bs" as Symfony's mailer does: HELO with a literal, one command
// at a time, an empty line before the final dot, NOOP and a second message over the
// same dialogue, RSET after a refusal. Arguments: command, address, token.
[, $command, $address, $token] = $argv;
$process = proc_open($command, [['pipe', 'r'], ['pipe', 'w'], ['pipe', 'w']], $pipes);
[$in, $out, $err] = $pipes;
stream_set_blocking($err, false);
if ($said = stream_get_contents($err)) {
    exit("could not be started: $said");
}

function answer($out): string
{
    $all = '';
    do {
        $line = fgets($out);
        $all .= $line;
    } while ($line && isset($line[3]) && $line[3] !== ' ');

    return $all;
}

function say(string $text, int $code): void
{
    global $in, $out;
    fwrite($in, $text);
    fflush($in);
    if ((int) substr($got = answer($out), 0, 3) !== $code) {
        fwrite(STDERR, "to ".trim($text)." came $got");
        exit(1);
    }
}

if ((int) answer($out) !== 220) {
    exit(1);
}
say("HELO [127.0.0.1]\r\n", 250);
foreach (['first', $token] as $subject) {
    say("MAIL FROM:<$address>\r\n", 250);
    say("RCPT TO:<$address>\r\n", 250);
    say("DATA\r\n", 354);
    fwrite($in, "From: $address\r\nTo: $address\r\nSubject: $subject\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n..dot\r\n");
    say("\r\n.\r\n", 250);
    say("NOOP\r\n", 250);
}
say("MAIL FROM:<$address>\r\n", 250);
say("RCPT TO:<nobody-at-all@".explode('@', $address)[1].">\r\n", 250);
say("DATA\r\n", 354);
say("From: $address\r\n\r\nx\r\n.\r\n", 550);
say("RSET\r\n", 250);
say("QUIT\r\n", 221);
fclose($in);
exit(proc_close($process));
