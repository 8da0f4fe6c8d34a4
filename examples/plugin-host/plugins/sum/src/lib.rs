//! A command that adds numbers.

use plugin_interface::Command;

#[relib_module::export]
impl Command for ModuleCommandImpl {
    fn describe() -> String {
        "adds its arguments".to_owned()
    }

    fn run(arguments: &[String]) -> Result<String, String> {
        let mut sum = 0.0;
        for argument in arguments {
            sum += argument.parse::<f64>().map_err(|_| format!("{argument} is no number"))?;
        }
        Ok(sum.to_string())
    }
}
