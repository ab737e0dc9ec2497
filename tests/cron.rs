//! `Deno.cron`.

use crate::support::Sandbox;

/// Schedules have minutes, so this test takes up to one.
#[test]
fn handler_runs_on_schedule_and_again_after_a_failure() {
    let sandbox = Sandbox::new();
    let script = "let runs = 0;
        Deno.cron('job', '* * * * *', { backoffSchedule: [1] }, () => {
            if (++runs === 1) throw new Error('first');
            console.log('runs', runs);
            Deno.exit(7);
        });
        addEventListener('beforeunload', () => console.log('the event loop is empty'));";
    sandbox.write("main.ts", script);
    let output = sandbox.openkv(["run", "main.ts"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(7), "runs 2\n"), "{}", output.stderr);
    assert!(output.stderr.starts_with("Exception in cron handler job Error: first\n"), "{}", output.stderr);
}

/// The messages are Deno's.
#[test]
fn invalid_jobs_are_rejected() {
    let sandbox = Sandbox::new();
    let script = r#"const job = () => {};
        const attempt = (...args) => { try { Deno.cron(...args); console.log("created"); } catch (e) { console.log(e.name, e.message); } };
        attempt();
        attempt("a");
        attempt("a", "* * * * *");
        attempt("a", "* * * * *", job, job);
        attempt("a", "bogus", job);
        attempt("a".repeat(65), "* * * * *", job);
        attempt("a!", "* * * * *", job);
        attempt("a", "* * * * *", { backoffSchedule: [1, 2, 3, 4, 5, 6] }, job);
        attempt("a", { hour: { every: 2 } }, job);
        attempt("a", "* * * * *", job);
        for (let i = 0; i < 100; i++) Deno.cron(`${i}`, "* * * * *", job);
        attempt("one too many", "* * * * *", job);
        Deno.exit();"#;
    assert_eq!(
        sandbox.run(script).stdout(),
        "TypeError Cannot create cron job, a unique name is required: received 'undefined'\n\
        TypeError Cannot create cron job, a schedule is required: received 'undefined'\n\
        TypeError Cannot create cron job: a handler is required\n\
        TypeError Cannot create cron job, a single handler is required: two handlers were specified\n\
        TypeError Invalid cron schedule\n\
        TypeError Cron name cannot exceed 64 characters: current length 65\n\
        TypeError Invalid cron name: only alphanumeric characters, whitespace, hyphens, and underscores are allowed\n\
        TypeError Invalid backoff schedule\n\
        created\n\
        TypeError Cron with this name already exists\n\
        TypeError Too many crons\n"
    );
}

#[test]
fn aborted_job_lets_the_script_end() {
    let sandbox = Sandbox::new();
    let script = "const controller = new AbortController();
        const done = Deno.cron('a', '* * * * *', { signal: controller.signal }, () => {});
        setTimeout(() => controller.abort(), 1);
        console.log(await done);
        Deno.cron('a', '0 0 1 1 *', { signal: AbortSignal.timeout(1) }, () => {});";
    assert_eq!(sandbox.run(script).stdout(), "undefined\n");
}
