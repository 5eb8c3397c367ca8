// imapflow and mailparser, as their documentation shows them: every message parsed, attachments as files, a line of JSON
// a message. node imapflow.cjs HOST PORT USER PASSWORD DIRECTORY
"use strict";
const { createHash } = require("node:crypto");
const { createWriteStream, promises: fs } = require("node:fs");
const path = require("node:path");
const { ImapFlow } = require("imapflow");
const { simpleParser } = require("mailparser");

async function main(host, port, user, pass, home) {
    const client = new ImapFlow({ host, port: Number(port), secure: false, doSTARTTLS: false, auth: { user, pass }, logger: false });
    await client.connect();
    const rows = createWriteStream(path.join(home, "mail.jsonl"));
    const lock = await client.getMailboxLock("INBOX");
    try {
        for await (const message of client.fetch("1:*", { uid: true, flags: true, internalDate: true, source: true })) {
            const mail = await simpleParser(message.source);
            const files = [];
            for (const part of mail.attachments) {
                const name = createHash("sha256").update(part.content).digest("hex");
                await fs.writeFile(path.join(home, name), part.content);
                files.push(name);
            }
            rows.write(JSON.stringify({ uid: message.uid, subject: mail.subject, text: mail.text, files }) + "\n");
        }
    } finally {
        lock.release();
    }
    await client.logout();
    await new Promise((resolve) => rows.end(resolve));
}

main(...process.argv.slice(2));
