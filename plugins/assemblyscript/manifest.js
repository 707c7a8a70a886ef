// Puts manifest.json into the module, as the custom section that pgwarden reads.

import { readFileSync } from "node:fs";
import { Transform } from "assemblyscript/transform";

export default class Manifest extends Transform {
  afterCompile(module) {
    module.addCustomSection("pgwarden:manifest", readFileSync(new URL("manifest.json", import.meta.url)));
  }
}
