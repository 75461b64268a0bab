// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory sizes, machines and firmware: the account holds everywhere.

use crate::machine::Boot;

/// A test for each size on each machine; `full` ones only run with `--full`.
macro_rules! sizes {
    ($($name:ident: $memory:literal [$($argument:literal)*] $($full:literal)?;)*) => { $(
        #[test]
        $(#[ignore = $full])?
        fn $name() {
            holds($memory, &[$($argument),*]);
        }
    )* };
}

fn holds(memory: &str, arguments: &[&str]) {
    let run = Boot::new().with(&["--memory", memory, "--timeout", "120"]).with(arguments).run().expect(0);
    run.expect_identity();
    let installed = run.json["ledger"]["installed"].as_u64().unwrap();
    assert_eq!(installed, run.number("/boot/memory"));
    assert_eq!(
        run.number("/figures/present_bytes"),
        run.number("/figures/reserved_bytes") + run.number("/figures/managed_bytes")
    );
}

sizes! {
    pc_bios_24m: "24M" [];
    pc_bios_64m: "64M" [] "--full";
    pc_bios_128m: "128M" [];
    pc_bios_512m: "512M" [] "--full";
    pc_bios_3g: "3G" [] "--full";
    pc_bios_3_5g: "3.5G" [];
    pc_bios_4g: "4G" [];
    pc_bios_5g: "5G" [] "--full";
    pc_bios_64g: "64G" [];
    q35_bios_24m: "24M" ["--machine" "q35"] "--full";
    q35_bios_64m: "64M" ["--machine" "q35"] "--full";
    q35_bios_128m: "128M" ["--machine" "q35"] "--full";
    q35_bios_512m: "512M" ["--machine" "q35"] "--full";
    q35_bios_3g: "3G" ["--machine" "q35"];
    q35_bios_3_5g: "3.5G" ["--machine" "q35"] "--full";
    q35_bios_4g: "4G" ["--machine" "q35"] "--full";
    q35_bios_5g: "5G" ["--machine" "q35"] "--full";
    q35_bios_16g: "16G" ["--machine" "q35"];
    q35_bios_64g: "64G" ["--machine" "q35"] "--full";
    pc_uefi_64m: "64M" ["--uefi"];
    pc_uefi_128m: "128M" ["--uefi"] "--full";
    pc_uefi_512m: "512M" ["--uefi"] "--full";
    pc_uefi_3g: "3G" ["--uefi"] "--full";
    pc_uefi_3_5g: "3.5G" ["--uefi"] "--full";
    pc_uefi_4g: "4G" ["--uefi"] "--full";
    pc_uefi_5g: "5G" ["--uefi"] "--full";
    pc_uefi_16g: "16G" ["--uefi"];
    pc_uefi_64g: "64G" ["--uefi"] "--full";
    q35_uefi_64m: "64M" ["--uefi" "--machine" "q35"] "--full";
    q35_uefi_128m: "128M" ["--uefi" "--machine" "q35"] "--full";
    q35_uefi_512m: "512M" ["--uefi" "--machine" "q35"] "--full";
    q35_uefi_3g: "3G" ["--uefi" "--machine" "q35"] "--full";
    q35_uefi_3_5g: "3.5G" ["--uefi" "--machine" "q35"] "--full";
    q35_uefi_4g: "4G" ["--uefi" "--machine" "q35"] "--full";
    q35_uefi_5g: "5G" ["--uefi" "--machine" "q35"];
    q35_uefi_16g: "16G" ["--uefi" "--machine" "q35"] "--full";
    q35_uefi_64g: "64G" ["--uefi" "--machine" "q35"] "--full";
    q35_bios_4g_2_nodes: "4G" ["--machine" "q35" "--numa" "2"];
    pc_bios_16g_4_nodes: "16G" ["--numa" "4" "--smp" "4"] "--full";
    pc_uefi_5g_3_nodes: "5G" ["--uefi" "--numa" "3"] "--full";
}

/// OVMF itself does not start in 24 MiB, on either machine.
#[test]
fn too_little_for_uefi_is_said() {
    for machine in ["pc", "q35"] {
        let arguments = ["--uefi", "--machine", machine, "--memory", "24M", "--timeout", "20"];
        let run = Boot::new().with(&arguments).run();
        assert!([36, 124].contains(&run.status), "status {}\n{}", run.status, run.stdout);
        assert!(run.stderr.contains("does not start in 24M"), "{}", run.stderr);
        assert!(run.stderr.contains("said nothing"), "{}", run.stderr);
    }
}

/// The last megabytes are hard: whatever happens is said, and nothing hangs.
#[test]
fn too_little_for_the_image_is_said() {
    let run = Boot::new().with(&["--memory", "4M", "--timeout", "20"]).run();
    assert_ne!(run.status, 0);
    assert_ne!(run.status, 124, "a hang says nothing\n{}", run.stdout);
    assert!(!run.stdout.trim().is_empty(), "nothing was said\n{}", run.stderr);
}
